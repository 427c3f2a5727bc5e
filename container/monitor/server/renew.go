package server

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/fault"
)

// RenewFlag comes before the handover and the bundle on the command line of a
// monitor that has executed itself.
const RenewFlag = "--renew"

// handover is what a monitor leaves to the process image that takes its place.
// Everything else is in the files: monitor.json, status.json, the log.
//
//	monitor ─ starts, parses, forks ─┐
//	  quietFor, nobody connected      │ execve of the same program, same pid:
//	                                  ▼ payload, pidfd, FIFOs or pty, door stay
//	                            monitor, as small as on its first day
//
// Descriptors are numbers; -1 stands for none.
type handover struct {
	Door, Pidfd, Console  int
	Stdin, Stdout, Stderr int

	Child bool          // the payload is the process's own child
	Score string        `json:",omitempty"` // oom score of what is forked
	Pause time.Duration `json:",omitempty"` // the last before a restart
	Size  *wire.Size    `json:",omitempty"` // of the terminal at a restart
}

// renew begins anew when that is possible just now: no client, no exec, no
// output under way. It returns only when it did not.
//
// The payload may have asked for a signal when its parent dies (PR_SET_PDEATHSIG):
// for the kernel that is the thread that forked it, and all threads but the
// executing one die in execve. So this must be that thread, which is the
// process's first.
func (s *server) renew(l *life, size *wire.Size) {
	if !s.rebirth || s.lost != "" || unix.Gettid() != os.Getpid() || !s.busy.TryLock() {
		return
	}
	defer s.busy.Unlock()
	if s.log != nil && !s.log.Settled() {
		return // half a line would be lost
	}
	err := s.become(l, size)
	s.rebirth = false // it will not work the next time either
	_ = s.set(func(st *container.Status) { st.Note = join(st.Note, "the monitor stays large: "+err.Error()) })
}

// become executes the program of this process in its place.
func (s *server) become(l *life, size *wire.Size) (err error) {
	h := handover{Child: l.proc.child, Pause: s.pause.pause, Size: size}
	if s.score.lowered {
		h.Score = s.score.first
	}
	for _, f := range []struct {
		number *int
		file   *os.File
	}{
		{&h.Door, s.door.f},
		{&h.Pidfd, l.proc.fd},
		{&h.Console, l.console},
		{&h.Stdin, l.io.stdin},
		{&h.Stdout, l.io.stdout},
		{&h.Stderr, l.io.stderr},
	} {
		*f.number = inherit(f.file, 0)
		defer func() { inherit(f.file, unix.FD_CLOEXEC) }()
	}
	if h.Door < 0 || h.Pidfd < 0 {
		return errors.New("a descriptor is closed")
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return os.NewSyscallError("execve", syscall.Exec("/proc/self/exe",
		[]string{os.Args[0], "monitor", RenewFlag, string(text), s.cfg.Bundle}, monitor.Environment(monitor.Idle)))
}

// inherit sets the descriptor flags of f and returns its number.
func inherit(f *os.File, flags int) int {
	if f == nil {
		return -1
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return -1
	}
	number := -1
	err = raw.Control(func(fd uintptr) {
		if _, err := unix.FcntlInt(fd, unix.F_SETFD, flags); err == nil {
			number = int(fd)
		}
	})
	if err != nil { // closed, as stdin is at the end of input
		return -1
	}
	return number
}

// Renew goes on where the process image before this one left off; text is the
// argument behind RenewFlag.
func Renew(cfg monitor.Config, rt Runtime, text string) error {
	s := newServer(cfg, rt)
	s.rebirth = true
	return fault.Op("monitor.renew", cfg.ID, s.resume(text))
}

func (s *server) resume(text string) (err error) {
	var h handover
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return fault.As(fault.Invalid, err)
	}
	l, err := s.takeOver(&h)
	if err != nil {
		return err
	}
	if s.log, err = openLog(s.cfg); err != nil { // better half a monitor than none
		_ = s.set(func(st *container.Status) { st.Note = join(st.Note, "further output is not kept: "+err.Error()) })
	}
	nameProcess()
	s.pump(l)
	s.live(l)
	s.door = &door{file(h.Door, "control socket")}
	defer s.close()
	go s.door.accept(&s.busy, s.serveConn)
	s.supervise(l, h.Size)
	return nil
}

// takeOver makes a life of what was handed over.
func (s *server) takeOver(h *handover) (*life, error) {
	status, err := container.ReadStatus(s.cfg.StatusFile)
	if err != nil {
		return nil, err
	}
	if status.MonitorPid != os.Getpid() || h.Door < 0 || h.Pidfd < 0 {
		return nil, fault.New(fault.Invalid, "nothing was handed over to process %d", os.Getpid())
	}
	s.status, s.started, s.pause = status, true, backoff{h.Pause}
	if status.Stopped {
		close(s.halt)
	}
	s.score.first, s.score.lowered = h.Score, h.Score != ""
	return &life{
		over:    make(chan struct{}),
		console: file(h.Console, "console"),
		io:      stdio{file(h.Stdin, fifos[0]), file(h.Stdout, fifos[1]), file(h.Stderr, fifos[2])},
		proc:    &process{status.Pid, status.StartTicks, file(h.Pidfd, "process"), h.Child},
	}, nil
}

// file is an inherited descriptor, from now on not inherited any further.
func file(fd int, name string) *os.File {
	if fd < 0 {
		return nil
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name+" "+strconv.Itoa(fd))
}
