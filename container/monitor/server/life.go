package server

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/cleanup"
)

// Bounds of the steps of a life.
const (
	startTime  = 2 * time.Minute        // create and start, hooks included
	deleteTime = 10 * time.Second       // clean up after the end
	drainTime  = 500 * time.Millisecond // last output, when somebody still holds the streams open
	toldWithin = 800 * time.Millisecond // who waits hears of the end, cleaned up or not
)

// life is one run of the payload: from create to the last byte of output.
type life struct {
	io      stdio
	console *os.File
	proc    *process
	pumps   sync.WaitGroup
	over    chan struct{} // closed when the payload has ended
	once    sync.Once     // closes stdin
}

// begin creates and starts the container.
func (s *server) begin(ctx context.Context, size *wire.Size) (*life, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	undo := cleanup.New()
	defer undo.Run()

	l := &life{over: make(chan struct{})}
	undo.Add(func() error { s.abandon(l); return nil })
	var theirs [3]*os.File
	if !s.cfg.TTY {
		var err error
		if l.io, theirs, err = makeStdio(s.cfg.RunDir, s.cfg.OpenStdin); err != nil {
			return nil, err
		}
	}
	s.pump(l)
	proc, err := s.create(ctx, theirs, func(master *os.File) (err error) {
		if l.console, err = pollable(master, "console"); err != nil {
			return err
		}
		if size != nil {
			_ = resize(l.console, *size) // a terminal without a size works
		}
		s.pump(l)
		return nil
	})
	closeFiles(theirs[:])
	if err != nil {
		return nil, err
	}
	if l.proc, err = watch(proc, true); err != nil {
		err = errors.Join(err, s.delete())
		(&process{pid: proc.Pid}).reap()
		return nil, err
	}
	s.live(l)
	undo.Release()
	return l, nil
}

// create calls the runtime with the oom score that the payload shall inherit.
func (s *server) create(ctx context.Context, theirs [3]*os.File, console func(*os.File) error) (Proc, error) {
	defer s.score.forking()()
	return s.rt.Run(ctx, Bundle{
		ID: s.cfg.ID, Dir: s.cfg.Bundle, TTY: s.cfg.TTY, Console: console,
		Stdin: theirs[0], Stdout: theirs[1], Stderr: theirs[2],
	})
}

// abandon undoes a life that did not begin, or cannot be. The runtime has
// killed the process.
func (s *server) abandon(l *life) {
	s.live(nil)
	close(l.over)
	if l.proc != nil {
		l.proc.wait(nil)
	}
	l.drain()
	removeFIFOs(s.cfg.RunDir)
}

func (s *server) delete() error {
	ctx, cancel := context.WithTimeout(context.Background(), deleteTime)
	defer cancel()
	return s.rt.Delete(ctx, s.cfg.ID, true)
}

// live makes l the life that clients talk to.
func (s *server) live(l *life) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life = l
}

// pump begins to carry output from the streams that are there.
func (s *server) pump(l *life) {
	send := func(kind wire.Type, frame []byte) { s.publish(l, kind, frame) }
	run := func(src *os.File, kind wire.Type) {
		if src == nil {
			return
		}
		p := &pump{src: src, kind: kind, log: s.log, to: send, volume: &s.volume, busy: &s.busy}
		l.pumps.Go(p.run)
	}
	run(l.console, wire.Stdout)
	run(l.io.stdout, wire.Stdout)
	run(l.io.stderr, wire.Stderr)
}

// ended reports whether the payload has.
func (l *life) ended() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}

// publish hands a frame of output to every attached client.
func (s *server) publish(l *life, kind wire.Type, frame []byte) {
	s.moved()
	for _, c := range s.attached() {
		if c.wants(kind) {
			c.put(frame)
			c.relieve(l.over)
		}
	}
}

// input writes to the payload's stdin, or closes it with nil.
func (l *life) input(data []byte) {
	f := l.io.stdin
	if l.console != nil {
		f = l.console
	}
	switch {
	case f == nil:
	case len(data) > 0:
		_, _ = f.Write(data) // the payload need not want it
	case l.console == nil:
		l.once.Do(func() { f.Close() })
	}
}

// await returns how the payload ended, what it did to its cgroup included.
func (s *server) await(l *life, size *wire.Size) container.ExitStatus {
	exit := l.proc.wait(func() { s.shrink(l, size) })
	close(l.over)
	if s.cfg.Remove { // it is not started again
		s.tellOver()
	}
	if s.lost != "" {
		exit.Cause, s.lost = s.lost, ""
	}
	if oom, victims, err := s.rt.OOMKilled(s.cfg.ID); err == nil && oom {
		exit.OOMKilled = true
		exit.Cause = join(exit.Cause, "the memory limit was reached and the kernel killed "+named(victims))
	}
	return exit
}

// named lists victims, at most a few: a fork bomb has many.
func named(victims []string) string {
	const most = 5
	switch n := len(victims); {
	case n == 0:
		return "a process"
	case n > most:
		return strings.Join(victims[:most], ", ") + " and " + strconv.Itoa(n-most) + " more"
	}
	return strings.Join(victims, ", ")
}

// clear removes the container and takes its last output. It returns after
// toldWithin in any case; done says when all is finished.
func (s *server) clear(l *life) (done chan error) {
	done = make(chan error, 1)
	early := make(chan struct{})
	go func() {
		err := s.delete()
		l.drain()
		close(early)
		done <- err
	}()
	t := time.NewTimer(toldWithin)
	defer t.Stop()
	select {
	case <-early:
	case <-t.C:
	}
	return done
}

// drain lets the pumps come to the end of the streams and closes them. Only a
// process outside of the container can still hold one open.
func (l *life) drain() {
	deadline := time.Now().Add(drainTime)
	for _, f := range []*os.File{l.console, l.io.stdout, l.io.stderr} {
		if f != nil {
			_ = f.SetReadDeadline(deadline)
		}
	}
	l.once.Do(func() {
		if l.io.stdin != nil {
			l.io.stdin.Close()
		}
	})
	l.pumps.Wait()
	closeFiles([]*os.File{l.console, l.io.stdout, l.io.stderr})
}

func resize(console *os.File, size wire.Size) (err error) {
	raw, err := console.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
	})
	if cerr != nil {
		return cerr
	}
	return err
}
