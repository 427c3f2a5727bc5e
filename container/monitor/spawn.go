package monitor

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// FirstFD is the descriptor on which a new monitor finds its first control
// connection, one end of a socket pair.
const FirstFD = 3

// How many processors Go uses in a monitor. To start a container it takes two,
// so that what the kernel takes long for, like a network, is made meanwhile. One
// that began anew has little to do, and one is smaller.
const (
	starting = 2
	Idle     = 1
)

// Environment is all that a monitor's process gets: nothing of the caller's,
// and what keeps Go small. Collecting more often would cost more than it gives:
// each cycle leaves tables of the collector behind, and the monitor frees its
// memory by itself when it is idle.
func Environment(processors int) []string {
	return []string{
		"GOMAXPROCS=" + strconv.Itoa(processors),
		"GOGC=100",
		"GOMEMLIMIT=16MiB",
	}
}

// Spawn starts `exe monitor bundleDir` in a session of its own, and returns the
// first connection to it. The container is not started before Conn.Start, until
// when the bundle need not be there either; when the connection is closed
// before, the monitor ends.
func Spawn(ctx context.Context, exe, bundleDir string) (*Conn, error) {
	return spawn(ctx, exe, "monitor", bundleDir)
}

func spawn(ctx context.Context, exe string, args ...string) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fault.Op("monitor.spawn", exe, err)
	}
	defer null.Close()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fault.Op("monitor.spawn", exe, os.NewSyscallError("socketpair", err))
	}
	defer syscall.Close(pair[1])

	keepToOurselves()
	defer kernel.UsualThread()()
	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Env:   Environment(starting),
		Files: []uintptr{null.Fd(), null.Fd(), null.Fd(), uintptr(pair[1])},
		Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
	}
	pid, err := syscall.ForkExec(exe, append([]string{filepath.Base(exe)}, args...), attr)
	if err != nil {
		syscall.Close(pair[0])
		return nil, fault.Op("monitor.spawn", exe, err)
	}
	go collect(pid, pidfd)
	c, err := newConn(pair[0])
	return c, fault.Op("monitor.spawn", exe, err)
}

// sysCloseRange has one number on all architectures (Linux 5.9, the flag 5.11).
const (
	sysCloseRange     = 436
	closeRangeCloexec = 4
)

// keepToOurselves marks every descriptor of this process close-on-exec. Go's
// own always are; those that our caller left open are not, and a monitor would
// hold them for as long as the container runs.
func keepToOurselves() {
	_, _, _ = syscall.Syscall(sysCloseRange, 3, uintptr(^uint32(0)), closeRangeCloexec) // older kernels: as before
}

// collect reaps a monitor that ends while this process still lives. It parks
// in the poller: a long-lived engine pays no thread per container.
func collect(pid, pidfd int) {
	wait := func() bool {
		for {
			got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			if err != syscall.EINTR {
				return got == pid || err != nil
			}
		}
	}
	if pidfd < 0 || syscall.SetNonblock(pidfd, true) != nil {
		_, _ = syscall.Wait4(pid, nil, 0, nil)
		return
	}
	f := os.NewFile(uintptr(pidfd), "monitor")
	defer f.Close()
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Read(func(uintptr) bool { return wait() })
	}
	if err != nil {
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	}
}
