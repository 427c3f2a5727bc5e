package main

import (
	"context"
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/oci"
)

// What --pidfd-socket says of the process, as runc does: the first of the
// container, or one that joined it.
const (
	firstProcess  = "standard"
	joinedProcess = "setns"
)

// make is Create, or Restore, with --pidfd-socket. Whoever listens there is
// sought before anything is made.
func (a *app) make(m *makeFlags, id string, create func() (*oci.Process, error)) (*oci.Process, error) {
	conn, err := m.dialPidfd()
	if err != nil {
		return nil, err
	}
	p, err := create()
	if err != nil || conn == nil {
		return p, errors.Join(err, closeConn(conn))
	}
	if err := m.sendPidfd(conn, firstProcess, p); err != nil {
		return nil, errors.Join(err, a.rt.Delete(context.Background(), id, true))
	}
	return p, nil
}

// join is Exec with --pidfd-socket.
func (a *app) join(req oci.ExecRequest, m *makeFlags) (*oci.Process, error) {
	conn, err := m.dialPidfd()
	if err != nil {
		return nil, err
	}
	p, err := a.rt.Exec(context.Background(), req)
	if err != nil || conn == nil {
		return p, errors.Join(err, closeConn(conn))
	}
	if err := m.sendPidfd(conn, joinedProcess, p); err != nil {
		err = errors.Join(err, p.Signal(unix.SIGKILL))
		_, werr := p.Wait()
		return nil, errors.Join(err, werr)
	}
	return p, nil
}

// dialPidfd connects to --pidfd-socket; nil without that flag.
func (m *makeFlags) dialPidfd() (*net.UnixConn, error) {
	if m.pidfdSocket == "" {
		return nil, nil
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: m.pidfdSocket, Net: "unix"})
	if err != nil {
		return nil, fault.Op("pidfd socket", m.pidfdSocket, err)
	}
	return conn, nil
}

func closeConn(conn *net.UnixConn) error {
	if conn == nil {
		return nil
	}
	return conn.Close()
}

func (m *makeFlags) sendPidfd(conn *net.UnixConn, kind string, p *oci.Process) error {
	return fault.Op("pidfd socket", m.pidfdSocket, errors.Join(sendFile(conn, kind, p.Pidfd), conn.Close()))
}

// sendFile hands a descriptor over: one message with data and one descriptor.
func sendFile(conn *net.UnixConn, data string, f *os.File) error {
	_, _, err := conn.WriteMsgUnix([]byte(data), unix.UnixRights(int(f.Fd())), nil)
	return err
}
