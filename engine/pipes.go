package engine

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/engine/detach"
)

// pipes are the standard streams of an exec without a terminal. What the caller
// has (a terminal, a file, a pipe) stays out of the container's reach behind a
// pipe of our own, and is let go with the client, not with the process.
//
//	caller's file ──copy──► pipe ──► process
type pipes struct {
	child  [3]*os.File // given to the process; nil is /dev/null
	mine   []*os.File  // our copies of child's, closed when it runs
	in     *os.File    // write end of stdin
	source io.Reader
	out    []flow
	wg     sync.WaitGroup
	over   atomic.Bool
}

type flow struct {
	from *os.File
	to   io.Writer
}

func newPipes(s Streams) (*pipes, error) {
	p := &pipes{}
	if s.In != nil {
		r, w, err := pipe(1)
		if err != nil {
			return nil, err
		}
		p.child[0], p.in, p.source = r, w, s.In
		p.mine = append(p.mine, r)
	}
	for i, to := range []io.Writer{s.Out, s.Err} {
		if to == nil {
			continue
		}
		r, w, err := pipe(0)
		if err != nil {
			p.close()
			return nil, err
		}
		p.child[1+i] = w
		p.mine = append(p.mine, w)
		p.out = append(p.out, flow{r, to})
	}
	return p, nil
}

// pipe makes a pipe whose end number own, 0 or 1, is for us. The other blocks,
// as programs expect of their standard streams; os.Pipe's would not.
func pipe(own int) (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	if err := unix.SetNonblock(fds[own], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe"), nil
}

// start copies, now that the process has its ends.
func (p *pipes) start() {
	for _, f := range p.mine {
		f.Close()
	}
	p.mine = nil
	if p.source != nil {
		go func() { // ends with the process that calls us at the latest
			_, _ = io.Copy(p.in, p.source)
			p.in.Close()
		}()
	}
	for _, f := range p.out {
		p.wg.Go(func() { p.pump(f) })
	}
}

// grace is how long output may keep us after the process has ended, when
// something it started holds the pipe open and says nothing.
const grace = 300 * time.Millisecond

func (p *pipes) pump(f flow) {
	buf := make([]byte, 32<<10)
	for {
		n, err := f.from.Read(buf)
		if n > 0 {
			if _, werr := f.to.Write(buf[:n]); werr != nil {
				return
			}
			if p.over.Load() {
				_ = f.from.SetReadDeadline(time.Now().Add(grace))
			}
		}
		if err != nil {
			return
		}
	}
}

// drain waits for what the ended process has written.
func (p *pipes) drain() {
	p.over.Store(true)
	for _, f := range p.out {
		_ = f.from.SetReadDeadline(time.Now().Add(grace))
	}
	p.wg.Wait()
}

func (p *pipes) close() {
	for _, f := range p.mine {
		f.Close()
	}
	for _, f := range p.out {
		f.from.Close()
	}
	if p.source != nil && p.over.Load() {
		p.in.Close()
	}
}

// console joins the caller's terminal and the master side of the process's.
func console(ctx context.Context, proc *monitor.Process, s Streams) (container.ExitStatus, error) {
	left := make(chan error, 1)
	if s.In != nil {
		go func() { // ends with the process that calls us at the latest
			_, err := io.Copy(proc.Console, detach.NewReader(s.In, s.Keys))
			if errors.Is(err, detach.ErrDetached) {
				left <- err
			}
		}()
	}
	var p pipes
	var wg sync.WaitGroup
	if s.Out != nil {
		wg.Go(func() { p.pump(flow{proc.Console, s.Out}) })
	}
	stop := make(chan struct{})
	wg.Go(func() { resize(proc.Console, s.Sizes, stop) })
	defer wg.Wait()
	defer close(stop)

	type end struct {
		exit container.ExitStatus
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		exit, err := proc.Wait(ctx)
		ended <- end{exit, err}
	}()
	select {
	case e := <-ended:
		p.over.Store(true)
		_ = proc.Console.SetReadDeadline(time.Now().Add(grace))
		return e.exit, e.err
	case err := <-left:
		_ = proc.Console.SetReadDeadline(time.Now())
		return container.ExitStatus{}, err
	}
}

func resize(f *os.File, sizes <-chan Size, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case s, ok := <-sizes:
			if !ok {
				return
			}
			raw, err := f.SyscallConn()
			if err != nil {
				return
			}
			_ = raw.Control(func(fd uintptr) {
				_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: s.Rows, Col: s.Cols})
			})
		}
	}
}
