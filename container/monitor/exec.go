package monitor

import (
	"context"
	"os"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
)

// ExecRequest asks for a further process in the container.
type ExecRequest struct {
	// Process as in the OCI spec. With Terminal the process gets a terminal
	// and Console of the result is its other side.
	Process *specs.Process
	// The descriptors become the process's own: the monitor copies nothing.
	// nil is /dev/null. Not used with a terminal. The caller keeps and closes
	// its copies.
	Stdin, Stdout, Stderr *os.File
}

// Process is a process that Exec started.
type Process struct {
	Pid     int
	Console *os.File // the terminal's master side, non-blocking; the caller closes it

	c   *Conn
	seq uint64
	ch  chan reply
}

// Exec starts a process in the running container. When the connection ends
// the process goes on.
func (c *Conn) Exec(ctx context.Context, q ExecRequest) (*Process, error) {
	if q.Process == nil {
		return nil, fault.New(fault.Invalid, "exec: no process given")
	}
	body, err := jsontext.Marshal(q.Process)
	if err != nil {
		return nil, fault.Op("exec", "encode", err)
	}
	m := &wire.Message{Op: wire.Exec, Process: body}
	var fds []int
	if !q.Process.Terminal {
		for i, f := range []*os.File{q.Stdin, q.Stdout, q.Stderr} {
			if f == nil {
				continue
			}
			fd, err := dup(f)
			if err != nil {
				closeAll(fds)
				return nil, fault.Op("exec", f.Name(), err)
			}
			m.Stdio[i], fds = true, append(fds, fd)
		}
	}
	defer closeAll(fds)
	r, ch, err := c.call(ctx, m, fds...)
	if err != nil {
		return nil, err
	}
	p := &Process{Pid: r.Pid, c: c, seq: m.Seq, ch: ch}
	if len(r.fds) > 0 {
		p.Console = os.NewFile(uintptr(r.fds[0]), "console")
		closeAll(r.fds[1:])
	}
	return p, nil
}

// dup copies f's descriptor without switching f to blocking mode, as Fd might.
func dup(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	cerr := raw.Control(func(old uintptr) {
		var errno syscall.Errno
		var r uintptr
		if r, _, errno = syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0); errno != 0 {
			err = errno
		}
		fd = int(r)
	})
	if cerr != nil {
		return -1, cerr
	}
	return fd, err
}

// Wait returns how the process ended. Call it once.
func (p *Process) Wait(ctx context.Context) (container.ExitStatus, error) {
	r, err := p.c.await(ctx, p.seq, p.ch)
	if err != nil {
		return container.ExitStatus{}, fault.Op("exec", "wait", err)
	}
	if r.Exit == nil {
		return container.ExitStatus{}, fault.New(fault.Damaged, "exec: answer without an exit status")
	}
	return *r.Exit, nil
}
