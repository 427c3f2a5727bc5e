package main

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
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
func (m *makeFlags) dialPidfd() (*os.File, error) {
	if m.pidfdSocket == "" {
		return nil, nil
	}
	conn, err := dial(m.pidfdSocket)
	if err != nil {
		return nil, fault.Op("pidfd socket", m.pidfdSocket, err)
	}
	return conn, nil
}

// dial connects to a socket of the file system. Package net could, and would
// cost every start its own.
func dial(path string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	_, err = kernel.Retry(func() (int, error) { return 0, unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func closeConn(conn *os.File) error {
	if conn == nil {
		return nil
	}
	return conn.Close()
}

func (m *makeFlags) sendPidfd(conn *os.File, kind string, p *oci.Process) error {
	return fault.Op("pidfd socket", m.pidfdSocket, errors.Join(sendFile(conn, kind, p.Pidfd), conn.Close()))
}

// sendFile hands a descriptor over: one message with data and one descriptor.
func sendFile(conn *os.File, data string, f *os.File) error {
	rights := unix.UnixRights(int(f.Fd()))
	_, err := kernel.Retry(func() (int, error) {
		return unix.SendmsgN(int(conn.Fd()), []byte(data), rights, nil, unix.MSG_NOSIGNAL)
	})
	return os.NewSyscallError("sendmsg", err)
}
