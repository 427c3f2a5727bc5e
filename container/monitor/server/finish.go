package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor/internal/wire"
)

// How long the monitor stays for its clients after the end.
const (
	tailPatience = time.Hour        // until an attached client has taken the last output: a pager may wait
	sayPatience  = 2 * time.Second  // until others have taken their answer
	reapPatience = 30 * time.Second // until the client that took on the removal is done
)

// finish records the end, tells everybody, and sees to the removal.
//
//	status.json ─► who waits ─► last output ─► the client that reaps … or Reaper
func (s *server) finish(exit container.ExitStatus) {
	if s.log != nil {
		if lost := s.log.Lost(); lost.Records > 0 {
			_ = s.set(func(st *container.Status) {
				st.Note = join(st.Note, fmt.Sprintf("%d lines of the log were lost: %v", lost.Records, lost.Last))
			})
		}
	}
	if err := s.record(exit); err != nil && !isGone(err) {
		exit.Cause = join(exit.Cause, "not recorded: "+err.Error())
	}
	s.tell(exit)
	removeFIFOs(s.cfg.RunDir)
	unlink(filepath.Join(s.cfg.RunDir, wire.Socket)) // from now on the file speaks
	s.execsDone()
	s.flush()
	s.remove()
}

// record writes how the container ended. Nobody will look for it when a client
// stands by that removes the container: then it is written by remove, should
// that client leave before.
func (s *server) record(exit container.ExitStatus) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	exited(&s.status, exit)
	if s.reaper != nil {
		return nil
	}
	return container.WriteStatus(s.cfg.StatusFile, s.status, !s.cfg.Remove)
}

// tellOver tells the client that reaps, if there is one by now, that the
// payload has ended.
func (s *server) tellOver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.chooseReaper()
}

// chooseReaper makes the first client that offered it the one that removes the
// container, and tells it when that can begin; nobody, when one is there that
// starts it again. Call it with the lock.
func (s *server) chooseReaper() {
	if s.keeper != nil && !s.keeper.left() {
		return
	}
	for _, w := range s.waiters {
		if w.reap && s.reaper == nil && !w.from.left() {
			s.reaper = w.from
			w.from.say(&wire.Message{Op: wire.Over, Seq: w.seq, More: true})
		}
	}
}

// tell answers all who wait, the client that reaps first.
func (s *server) tell(exit container.ExitStatus) {
	s.mu.Lock()
	s.exit = exit
	if s.cfg.Remove {
		s.chooseReaper()
		s.kept = s.reaper == nil && s.keeper != nil && !s.keeper.left()
	}
	waiters := s.waiters
	s.waiters = nil
	close(s.ended)
	reaper := s.reaper
	s.mu.Unlock()
	for _, first := range []bool{true, false} {
		for _, w := range waiters {
			if (w.from == reaper && w.reap) == first {
				w.from.tell(s.endedFor(w.seq, first))
			}
		}
	}
}

// tell says how the container ended.
func (c *client) tell(m *wire.Message) {
	c.say(m)
	c.toldOnce.Do(func() { close(c.told) })
}

// endedFor is the answer to a wait after the end.
func (s *server) endedFor(seq uint64, first bool) *wire.Message {
	exit := s.exit
	return &wire.Message{Op: wire.Ended, Seq: seq, Exit: &exit, First: first, Kept: s.kept}
}

// execsDone gives exec'ed processes, which died with the container, the time
// to be reaped and reported.
func (s *server) execsDone() {
	for end := time.Now().Add(sayPatience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		n := s.execs
		s.mu.Unlock()
		if n == 0 {
			return
		}
	}
}

// flush waits until the clients have taken what is for them. One that is
// connected and did not ask yet may be about to: the payload of a short run
// ends before its client has said wait.
func (s *server) flush() {
	ask, cancel := context.WithTimeout(context.Background(), sayPatience)
	defer cancel()
	for _, c := range s.attached() {
		select {
		case <-c.told:
		case <-c.gone:
		case <-ask.Done():
		}
		patience := sayPatience
		if c.wants(wire.Stdout) || c.wants(wire.Stderr) {
			patience = tailPatience
		}
		c.flushed(patience)
	}
}

// remove sees to it that a container with --rm is removed.
func (s *server) remove() {
	if !s.cfg.Remove {
		return
	}
	s.mu.Lock()
	reaper, kept := s.reaper, s.kept
	s.mu.Unlock()
	if kept {
		return
	}
	if reaper != nil {
		select {
		case <-reaper.gone:
		case <-time.After(reapPatience):
		}
	}
	if len(s.cfg.Reaper) == 0 || s.removed() {
		return
	}
	if err := s.set(func(*container.Status) {}); isGone(err) {
		return // it was removed just now
	}
	if err := runReaper(s.cfg.Reaper); err != nil {
		_ = s.set(func(st *container.Status) { st.Note = join(st.Note, "the removal could not be started: "+err.Error()) })
	}
}

// removed reports whether the record directory is gone.
func (s *server) removed() bool {
	_, err := os.Lstat(filepath.Dir(s.cfg.StatusFile))
	return errors.Is(err, os.ErrNotExist)
}

// runReaper starts argv in a session of its own with a clean environment and
// does not wait: the removal outlives this process.
func runReaper(argv []string) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	_, err = syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Files: []uintptr{null.Fd(), null.Fd(), null.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	return err
}
