// Package nofile remembers the limit on open files that this process was
// started with.
//
// Package os raises the soft limit when it is initialised, for the process's
// own use, and only package syscall's fork puts it back. The launcher forks by
// itself, so it must know the old value. This package imports nothing but
// syscall: by Go's order of initialisation it comes before os.
package nofile

import "syscall"

var soft, hard = read()

func read() (uint64, uint64) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, 0
	}
	return l.Cur, l.Max
}

// Inherited returns the soft and hard limit at the start of this process,
// zeros if the kernel did not say.
func Inherited() [2]uint64 { return [2]uint64{soft, hard} }
