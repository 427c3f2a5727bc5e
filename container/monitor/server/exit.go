package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/internal/kernel"
)

// unseen is the status of a process that nobody saw end.
func unseen(why string) container.ExitStatus {
	return container.ExitStatus{Code: 255, Unknown: true, Cause: why}
}

// exitOf turns the kernel's wait status into ours.
func exitOf(ws unix.WaitStatus) container.ExitStatus {
	if !ws.Signaled() {
		return container.ExitStatus{Code: ws.ExitStatus()}
	}
	sig := ws.Signal()
	e := container.ExitStatus{Code: 128 + int(sig), Signal: int(sig), Cause: "killed by " + signalName(sig)}
	if ws.CoreDump() {
		e.Cause += ", core dumped"
	}
	return e
}

func signalName(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}

// process is a payload or an exec'ed process, watched through its pidfd.
type process struct {
	pid   int
	ticks uint64
	fd    *os.File // pollable
	child bool     // ours to reap
}

// watch takes over p's pidfd, or opens one.
func watch(p Proc, child bool) (*process, error) {
	fd, err := pidfd(p)
	if err != nil {
		return nil, err
	}
	if p.StartTicks == 0 {
		p.StartTicks, _ = kernel.StartTicks(p.Pid)
	}
	return &process{p.Pid, p.StartTicks, fd, child}, nil
}

func pidfd(p Proc) (*os.File, error) {
	if p.Pidfd != nil {
		return pollable(p.Pidfd, "process")
	}
	fd, err := unix.PidfdOpen(p.Pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	return os.NewFile(uintptr(fd), "process"), nil
}

// pollable moves f to a descriptor that the runtime's poller watches, so that
// waiting on it costs no thread. f is closed.
func pollable(f *os.File, name string) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		if err = unix.SetNonblock(fd, true); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// wait returns when the process has ended, reaped. After wake it calls
// interlude and waits on.
func (p *process) wait(interlude func()) container.ExitStatus {
	defer p.fd.Close()
	raw, err := p.fd.SyscallConn()
	if err != nil {
		return unseen(err.Error())
	}
	var exit container.ExitStatus
	for {
		err = raw.Read(func(fd uintptr) (done bool) {
			exit, done = p.look(int(fd))
			return done
		})
		if interlude == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err = p.fd.SetReadDeadline(time.Time{}); err != nil {
			break
		}
		interlude()
	}
	if err != nil {
		return unseen(err.Error())
	}
	return exit
}

// wake makes wait call its interlude, now or when it begins.
func (p *process) wake() { _ = p.fd.SetReadDeadline(time.Unix(1, 0)) } // an error: it has ended

// look returns how the process ended, when it has.
func (p *process) look(fd int) (container.ExitStatus, bool) {
	switch {
	case p.child:
		return p.reap()
	case !readable(fd):
		return container.ExitStatus{}, false
	}
	return p.overheard(fd), true
}

// reap collects a child that has ended.
func (p *process) reap() (container.ExitStatus, bool) {
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(p.pid, &ws, unix.WNOHANG|unix.WALL, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return unseen("wait: " + err.Error()), true
		case got == 0:
			return container.ExitStatus{}, false
		default:
			return exitOf(ws), true
		}
	}
}

func readable(fd int) bool {
	for {
		set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(set, 0)
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// Somebody else's child has ended: its status can be read while it is a
// zombie, and from the pidfd once its parent has reaped it (Linux 6.15). In
// between there is a moment with neither, so both are tried for a while.
const (
	overhearFor   = 500 * time.Millisecond
	overhearEvery = 2 * time.Millisecond
)

func (p *process) overheard(fd int) container.ExitStatus {
	for end := time.Now().Add(overhearFor); ; time.Sleep(overhearEvery) {
		if ws, ok := zombieStatus(p.pid, p.ticks); ok {
			return exitOf(ws)
		}
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
		err := unix.IoctlPidfdInfo(fd, &info)
		if err == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0 {
			return exitOf(unix.WaitStatus(info.Exit_code))
		}
		if time.Now().After(end) {
			return unseen("the monitor was killed, and this kernel does not tell how another's process ended")
		}
	}
}

// zombieStatus reads the wait status of a zombie, field 52 of /proc/PID/stat.
func zombieStatus(pid int, ticks uint64) (unix.WaitStatus, bool) {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	f := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:])) // f[0] is field 3
	if len(f) < 50 || f[0] != "Z" || f[19] != strconv.FormatUint(ticks, 10) {
		return 0, false
	}
	code, err := strconv.ParseUint(f[49], 10, 32)
	return unix.WaitStatus(code), err == nil
}
