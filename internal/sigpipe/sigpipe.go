// Package sigpipe turns signals into bytes of a pipe.
//
//	kernel ──signal──► handler, 10 instructions ──write(2)──► pipe ──► poll, read
//
// Package os/signal does the same with a thread of its own, which must be
// woken and answer for each signal that is asked for: two switches of threads
// each, a millisecond of a start that takes ten. Here it is one system call
// each, and whoever waits for a process by its pidfd waits for signals by the
// same poll(2).
//
// A signal that was ignored when the program began stays so, as nohup(1)
// expects. Signals that the Go runtime needs itself are refused. The two
// packages must not be asked for the same signal.
package sigpipe

import (
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// fd is the pipe's writing end. The handler can find it nowhere else.
var fd atomic.Int32

// action is the kernel's struct sigaction, not the C library's; see
// rt_sigaction(2): handler, flags, restorer, mask.
type action [4]uint64

const (
	saOnStack  = 0x08000000 // goroutines have no room for a handler
	saRestart  = 0x10000000
	saRestorer = 0x04000000
	ignore     = 1 // SIG_IGN
)

// rtSigaction is rt_sigaction(2); either action may be nil.
func rtSigaction(sig uintptr, act, old *action) (errno uintptr)

// addresses returns where the handler and the way back from it begin.
func addresses() (handler, restorer uint64)

// Catch makes each of the signals a byte, its number, in the pipe that it
// returns: a descriptor that does not block. It is for once in a program.
func Catch(signals ...syscall.Signal) (int, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, fault.Op("catch signals", "", err)
	}
	if !fd.CompareAndSwap(0, int32(p[1])) {
		unix.Close(p[0])
		unix.Close(p[1])
		return -1, fault.New(fault.Internal, "catch signals: done before")
	}
	for _, s := range signals {
		if err := catch(s); err != nil {
			return -1, fault.Op("catch signal", s.String(), err)
		}
	}
	return p[0], nil
}

// All are the signals that a program passes on to another: all but those that
// are about itself.
func All() []syscall.Signal {
	list := make([]syscall.Signal, 0, 64)
	for s := syscall.Signal(1); s <= 64; s++ {
		switch {
		case ours(s), s == unix.SIGCHLD, s == unix.SIGKILL, s == unix.SIGSTOP:
		case s == 32, s == 33: // the C library's, between its threads
		default:
			list = append(list, s)
		}
	}
	return list
}

// ours says whether the Go runtime needs the signal.
func ours(s syscall.Signal) bool {
	switch s {
	case unix.SIGURG, unix.SIGPROF, unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGPIPE:
		return true
	}
	return false
}

func catch(s syscall.Signal) error {
	if ours(s) {
		return fault.New(fault.Invalid, "the Go runtime needs it")
	}
	handler, restorer := addresses()
	act, old := action{handler, saOnStack | saRestart | saRestorer, restorer, ^uint64(0)}, action{}
	errno := rtSigaction(uintptr(s), &act, &old)
	if errno == 0 && old[0] == ignore {
		errno = rtSigaction(uintptr(s), &old, nil)
	}
	if errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}

// Read returns the signals that have come since the last call.
func Read(pipe int) ([]syscall.Signal, error) {
	var room [64]byte
	for {
		n, err := unix.Read(pipe, room[:])
		switch err {
		case nil:
			list := make([]syscall.Signal, n)
			for i, b := range room[:n] {
				list[i] = syscall.Signal(b)
			}
			return list, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return nil, nil
		default:
			return nil, fault.Op("read signals", "", err)
		}
	}
}
