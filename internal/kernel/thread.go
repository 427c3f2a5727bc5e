package kernel

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Apart runs do on a thread that ends with it, for what belongs to a thread
// and is not to come back: a namespace, an unshared directory.
//
// It is never the first thread. That one Go parks where it ends others, and
// whoever reads /proc/self from then on, in any goroutine, sees what was left
// there.
func Apart(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			done <- Apart(do) // which cannot get this one while we hold it
			runtime.UnlockOSThread()
			return
		}
		done <- do() // and never unlocked
	}()
	return <-done
}
