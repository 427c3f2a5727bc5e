package kernel

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// usualSlack is the timer slack that the program was started with, in
// nanoseconds; see PR_SET_TIMERSLACK(2const).
var usualSlack = timerSlack()

func timerSlack() uintptr {
	ns, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return 0 // the thread's own default
	}
	return uintptr(ns)
}

// UsualThread stays on a thread whose children have the timer slack that the
// program was started with, until it is let go. A thread that the Go runtime's
// watchdog has made has the watchdog's, which internal/brisk makes longer: for
// whoever forks what outlives us, or is the user's.
func UsualThread() (letGo func()) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, usualSlack, 0, 0, 0) // a hint, as it is
	return runtime.UnlockOSThread
}
