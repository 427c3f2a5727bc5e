package server

import (
	"context"
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/fault"
)

// freezeTime bounds a pause or resume.
const freezeTime = 10 * time.Second

// control takes a request. An error ends the connection; what is wrong with a
// request only is its answer.
func (s *server) control(c *client, data []byte) error {
	fds := c.link.Files()
	m, err := wire.Unpack(data)
	if err != nil {
		closeFDs(fds)
		return err
	}
	if m.Op != wire.Exec {
		closeFDs(fds)
	}
	switch m.Op {
	case wire.Start:
		err = s.askStart(c, m)
	case wire.Attach:
		s.answer(c, m, s.attach(c, m))
	case wire.Wait:
		s.wait(c, m)
	case wire.Signal:
		s.answer(c, m, s.signal(m))
	case wire.Resize:
		s.answer(c, m, s.resize(m))
	case wire.Exec:
		s.count(1)
		go s.exec(c, m, fds)
	case wire.StopRestarting:
		s.answer(c, m, s.stopRestarting(c, m.Keep))
	case wire.Pause, wire.Resume:
		s.busy.RLock()
		go func() { // may take its time
			defer s.busy.RUnlock()
			s.answer(c, m, s.freeze(m.Op == wire.Pause))
		}()
	case wire.Status:
		st := s.current()
		c.say(&wire.Message{Op: wire.OK, Seq: m.Seq, Status: &st})
	case wire.Adopted:
		s.answer(c, m, nil) // served only once the payload is adopted
	default:
		s.answer(c, m, fault.New(fault.Unsupported, "this monitor does not know %q", m.Op))
	}
	return err
}

// answer replies to m with yes or no.
func (s *server) answer(c *client, m *wire.Message, err error) {
	if err != nil {
		c.say(&wire.Message{Op: wire.Failed, Seq: m.Seq, Err: wire.NewError(err)})
		return
	}
	c.say(&wire.Message{Op: wire.OK, Seq: m.Seq})
}

func (s *server) askStart(c *client, m *wire.Message) error {
	s.mu.Lock()
	again := s.started
	s.started = true
	s.mu.Unlock()
	if again {
		s.answer(c, m, fault.New(fault.Conflict, "container %s was started already", s.cfg.ID))
		return nil
	}
	select {
	case s.starts <- start{c, m}:
	case <-s.quit:
	}
	return nil
}

// attach answers before any output comes, and never later than the end.
func (s *server) attach(c *client, m *wire.Message) error {
	if s.alive() == nil && s.current().State != container.Restarting {
		return s.notRunning()
	}
	if m.Attach != nil {
		c.attach(*m.Attach)
	}
	if m.Size != nil {
		_ = s.resize(m) // without a terminal there is nothing to size
	}
	return nil
}

func (s *server) wait(c *client, m *wire.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
		first := s.cfg.Remove && m.Reap && s.reaper == nil && !s.kept
		if first {
			s.reaper = c
		}
		c.tell(s.endedFor(m.Seq, first))
	default:
		s.waiters = append(s.waiters, waiter{c, m.Seq, m.Reap})
		if s.over {
			s.chooseReaper()
		}
	}
}

// signal sends to the payload through its pidfd, so never to a stranger. A
// paused container is thawed for a signal that shall end it.
func (s *server) signal(m *wire.Message) error {
	l := s.alive()
	if l == nil {
		return s.notRunning()
	}
	err := s.send(l, m)
	if errors.Is(err, unix.ESRCH) || err != nil && l.ended() {
		return s.notRunning() // it ended meanwhile, and the runtime may have forgotten it
	}
	if err == nil && s.current().State == container.Paused && (m.Signal == int(syscall.SIGKILL) || m.Signal == s.stopSignal()) {
		if err = s.freeze(false); errors.Is(err, fault.NotRunning) || errors.Is(err, unix.ESRCH) {
			return nil // it ended at once
		}
	}
	return err
}

func (s *server) send(l *life, m *wire.Message) error {
	if m.All {
		return s.rt.Kill(s.cfg.ID, m.Signal, true)
	}
	raw, err := l.proc.fd.SyscallConn()
	if err != nil {
		return s.notRunning() // closed: it was reaped
	}
	cerr := raw.Control(func(fd uintptr) {
		err = unix.PidfdSendSignal(int(fd), unix.Signal(m.Signal), nil, 0)
	})
	if cerr != nil {
		return s.notRunning()
	}
	if errors.Is(err, unix.EINVAL) {
		return fault.New(fault.Invalid, "no such signal: %d", m.Signal)
	}
	return err
}

func (s *server) stopSignal() int {
	if s.cfg.StopSignal == 0 {
		return int(syscall.SIGTERM)
	}
	return s.cfg.StopSignal
}

func (s *server) resize(m *wire.Message) error {
	l := s.alive()
	switch {
	case l == nil:
		return s.notRunning()
	case l.console == nil:
		return fault.New(fault.Conflict, "container %s has no terminal", s.cfg.ID)
	case m.Size == nil:
		return fault.New(fault.Invalid, "resize: no size given")
	}
	return resize(l.console, *m.Size)
}

// stopRestarting: no restart of the monitor's own from here on. With keep the
// client starts the container again itself.
func (s *server) stopRestarting(c *client, keep bool) error {
	err := s.set(func(st *container.Status) { st.Stopped = true })
	s.mu.Lock()
	defer s.mu.Unlock()
	if keep {
		s.keeper = c
	}
	if !s.halted() {
		close(s.halt)
	}
	return err
}

// freeze pauses or resumes. The state machine refuses what makes no sense.
func (s *server) freeze(on bool) error {
	event, do := container.Resume, s.rt.Resume
	if on {
		event, do = container.Pause, s.rt.Pause
	}
	if s.alive() == nil {
		return s.notRunning()
	}
	s.freezing.Lock()
	defer s.freezing.Unlock()
	next, err := container.Next(s.current().State, event)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), freezeTime)
	defer cancel()
	if err := do(ctx, s.cfg.ID); err != nil {
		return err
	}
	return s.set(func(st *container.Status) {
		if st.State == container.Running || st.State == container.Paused {
			st.State = next
		}
	})
}
