package server

import (
	"context"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
)

// exec starts a further process and answers twice: with its pid, and with how
// it ended. The client's descriptors become the process's own.
func (s *server) exec(c *client, m *wire.Message, fds []int) {
	defer s.count(-1)
	p, console, err := s.launch(m, fds)
	if err != nil {
		s.answer(c, m, err)
		return
	}
	started := &wire.Message{Op: wire.OK, Seq: m.Seq, Pid: p.pid, More: true}
	if console == nil {
		c.say(started)
	} else {
		defer s.keep(c, console)()
		c.say(started, sibling(console)...)
	}
	exit := p.wait(nil)
	c.say(&wire.Message{Op: wire.Ended, Seq: m.Seq, Exit: &exit})
}

// count keeps the number of execs under way.
func (s *server) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.execs += n
	if n > 0 {
		s.busy.RLock()
		return
	}
	s.busy.RUnlock()
	s.grown()
}

// launch calls the runtime.
func (s *server) launch(m *wire.Message, fds []int) (*process, *os.File, error) {
	var spec specs.Process
	if err := jsontext.Unmarshal(m.Process, &spec); err != nil {
		closeFDs(fds)
		return nil, nil, fault.New(fault.Invalid, "exec: process: %w", err)
	}
	stdio, err := execFiles(m.Stdio, fds, spec.Terminal)
	defer closeFiles(stdio[:])
	if err != nil {
		return nil, nil, err
	}
	if s.alive() == nil {
		return nil, nil, s.notRunning()
	}
	if s.current().State == container.Paused {
		return nil, nil, fault.New(fault.Conflict, "container %s is paused, unpause it before exec", s.cfg.ID)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	forked := s.score.forking()
	proc, err := s.rt.Exec(ctx, s.cfg.ID, &spec, stdio)
	forked()
	if err != nil {
		return nil, nil, err
	}
	var console *os.File
	if proc.Console != nil {
		if console, err = pollable(proc.Console, "console"); err != nil {
			return nil, nil, err
		}
	}
	p, err := watch(proc, true)
	if err != nil {
		closeFiles([]*os.File{console})
		return nil, nil, err
	}
	return p, console, nil
}

// execFiles makes the three files of an exec from what came; /dev/null for
// what did not.
func execFiles(which [3]bool, fds []int, terminal bool) (f [3]*os.File, err error) {
	for i, given := range which {
		if given && len(fds) > 0 {
			f[i] = os.NewFile(uintptr(fds[0]), "exec stdio")
			fds = fds[1:]
		} else if given {
			err = fault.New(fault.Invalid, "exec: a descriptor is missing")
		}
	}
	closeFDs(fds)
	if err != nil || terminal {
		return f, err
	}
	for i := range f {
		if f[i] == nil {
			if f[i], err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
				return f, err
			}
		}
	}
	return f, nil
}

// sibling is a copy of console's descriptor, to be sent away.
func sibling(console *os.File) []int {
	fd, err := unix.FcntlInt(console.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil
	}
	return []int{fd}
}

// keep holds console open while the process runs: it must not hang up when
// the client goes away. From then on what the process writes is thrown away.
// The returned function ends it.
func (s *server) keep(c *client, console *os.File) (release func()) {
	done := make(chan struct{})
	go func() {
		defer console.Close()
		select {
		case <-done:
			return
		case <-c.gone:
		}
		go func() {
			<-done
			console.Close() // ends the read below
		}()
		var waste [4096]byte
		for {
			if _, err := console.Read(waste[:]); err != nil {
				return
			}
		}
	}()
	return func() { close(done) }
}
