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
// there. It may be any other, one that has made a process too: to prctl(2) that
// is the parent, and a parent-death signal follows.
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

// OwnMounts is Apart with a mount namespace: what the machine mounts comes in,
// what do mounts does not go out and ends with the thread.
func OwnMounts(do func() error) error {
	return Apart(func() error {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
			return os.NewSyscallError("mount as slave", err)
		}
		return do()
	})
}
