package server

import (
	"os"
	"strconv"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// set changes the status and writes it. While a monitor lives nobody else
// writes the file. An error is told only by running: later there is nobody to
// tell, and the next change writes everything anew.
func (s *server) set(change func(*container.Status)) error { return s.store(false, change) }

func (s *server) store(durable bool, change func(*container.Status)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status)
	return container.WriteStatus(s.cfg.StatusFile, s.status, durable)
}

func (s *server) current() container.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// running records that the payload of l lives.
func (s *server) running(l *life, restarts int) error {
	me := os.Getpid()
	ticks, err := kernel.StartTicks(me)
	if err != nil {
		return fault.Op("monitor.status", "", err)
	}
	if s.cfg.PIDFile != "" && restarts == 0 {
		if err := disk.Write(s.cfg.PIDFile, []byte(strconv.Itoa(l.proc.pid)), 0o644); err != nil {
			s.undo(l)
			return err
		}
	}
	err = s.set(func(st *container.Status) {
		*st = container.Status{
			State: container.Running, Pid: l.proc.pid, StartTicks: l.proc.ticks, BootID: kernel.BootID(),
			MonitorPid: me, MonitorTicks: ticks, Exit: st.Exit, StartedAt: time.Now().UTC(),
			FinishedAt: st.FinishedAt, RestartCount: restarts, Stopped: st.Stopped, Note: st.Note,
		}
		if restarts == 0 {
			st.Exit, st.FinishedAt, st.Note = nil, time.Time{}, ""
		}
	})
	if err != nil {
		s.undo(l)
	}
	return err
}

// undo takes back a life that has begun and cannot be recorded: what nobody
// can find must not run.
func (s *server) undo(l *life) {
	_ = s.delete()
	s.abandon(l)
}

// failed records a first start that did not succeed. A container that never
// ran stays created.
func (s *server) failed(err error) {
	code := 128
	if coded, ok := asCoded(err); ok {
		code = coded
	}
	old, rerr := container.ReadStatus(s.cfg.StatusFile)
	if rerr != nil {
		old = container.Status{}
	}
	_ = s.set(func(st *container.Status) {
		*st = container.Status{State: container.Created, StartedAt: old.StartedAt, FinishedAt: old.FinishedAt, Error: err.Error()}
		if !old.StartedAt.IsZero() {
			st.State = container.Exited
		}
		st.Exit = &container.ExitStatus{Code: code, Cause: err.Error()}
	})
}

// restarting is the status between two lives.
func restarting(st *container.Status, exit container.ExitStatus) {
	st.State, st.Pid, st.StartTicks = container.Restarting, 0, 0
	st.Exit, st.FinishedAt = &exit, time.Now().UTC()
}

// exited is the status after the last life.
func exited(st *container.Status, exit container.ExitStatus) {
	st.Pid, st.StartTicks, st.MonitorPid, st.MonitorTicks = 0, 0, 0, 0
	if st.State == container.Created || st.State == container.Exited {
		return // it never ran: failed has said it all
	}
	if st.State != container.Restarting { // else the end was recorded when it came
		st.FinishedAt = time.Now().UTC()
	}
	st.State, st.Exit = container.Exited, &exit
}
