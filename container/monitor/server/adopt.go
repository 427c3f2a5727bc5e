package server

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// How long a payload that lost its terminal gets to end by itself.
const hangupTime = 2 * time.Second

// lostTerminal is why it is ended.
const lostTerminal = "the monitor was killed and the container's terminal went with it"

// lostStreams is what is not there any more when the FIFOs are not.
const lostStreams = "the run directory was emptied: further output is lost"

// Adopt takes over a container whose monitor was killed while the payload
// runs on. A payload on a terminal cannot be kept: it is ended.
func Adopt(cfg monitor.Config, rt Runtime, first *os.File) error {
	s := newServer(cfg, rt)
	s.rebirth = true
	return fault.Op("monitor.adopt", cfg.ID, s.adopt(first))
}

func (s *server) adopt(first *os.File) error {
	old, err := container.ReadStatus(s.cfg.StatusFile)
	if err != nil {
		return refuse(first, err)
	}
	s.status, s.started = old, true
	if err := os.MkdirAll(s.cfg.RunDir, 0o700); err != nil {
		return refuse(first, err)
	}
	l, err := s.find(old)
	if err != nil {
		return refuse(first, err)
	}
	if err := s.adopted(); err != nil {
		return refuse(first, err)
	}
	if s.log, err = openLog(s.cfg); err != nil {
		return refuse(first, err)
	}
	s.pump(l)
	s.live(l)
	if old.Stopped {
		close(s.halt)
	}
	if s.cfg.TTY {
		s.lost = lostTerminal
		go s.hangup(l)
	}
	if s.door, err = listen(s.cfg.RunDir); err != nil {
		return refuse(first, err)
	}
	defer s.close()
	if _, err := s.open(first); err != nil {
		return err
	}
	s.grown()
	s.supervise(l, nil)
	return nil
}

// find makes a life of the process that runs.
func (s *server) find(old container.Status) (*life, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	p, err := s.rt.Adopt(ctx, s.cfg.ID)
	if err != nil {
		return nil, err
	}
	l := &life{over: make(chan struct{})}
	if p.StartTicks == 0 {
		p.StartTicks = old.StartTicks
	}
	if l.proc, err = watch(p, false); err != nil {
		return nil, err
	}
	if p.Pid != old.Pid || !old.Alive() {
		l.proc.fd.Close()
		return nil, fault.New(fault.NotRunning, "container %s ended while it was being adopted", s.cfg.ID)
	}
	if s.cfg.TTY {
		return l, nil
	}
	l.io, err = openMine(s.cfg.RunDir, s.cfg.OpenStdin)
	if isGone(err) { // somebody emptied the run directory: better half a monitor than none
		s.status.Note, err = join(s.status.Note, lostStreams), nil
	}
	if err != nil {
		l.proc.fd.Close()
		return nil, err
	}
	return l, nil
}

// adopted writes who is in charge now.
func (s *server) adopted() error {
	me := os.Getpid()
	ticks, err := kernel.StartTicks(me)
	if err != nil {
		return err
	}
	return s.set(func(st *container.Status) {
		st.MonitorPid, st.MonitorTicks = me, ticks
		st.Note = join(st.Note, "the monitor was killed; adopted at "+time.Now().UTC().Format(time.RFC3339))
		if s.cfg.TTY {
			st.Note = join(st.Note, lostTerminal)
		}
	})
}

// hangup ends a payload that lost its terminal: first as a terminal would.
func (s *server) hangup(l *life) {
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGKILL} {
		_ = s.send(l, &wire.Message{Signal: int(sig)}) // it may have ended meanwhile
		select {
		case <-l.over:
			return
		case <-time.After(hangupTime):
		}
	}
}

// refuse answers the first request on the connection with err: there will be
// no service.
func refuse(first *os.File, err error) error {
	link, lerr := linkOf(first)
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	defer link.Close()
	_ = link.SetReadDeadline(time.Now().Add(frameTime))
	_, data, rerr := wire.Read(link)
	if rerr != nil {
		return err
	}
	m, rerr := wire.Unpack(data)
	if rerr != nil {
		return err
	}
	frame, rerr := wire.Pack(&wire.Message{Op: wire.Failed, Seq: m.Seq, Err: wire.NewError(err)})
	if rerr == nil {
		_ = link.Send(frame, frameTime)
	}
	return err
}
