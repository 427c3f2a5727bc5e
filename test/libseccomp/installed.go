package libseccomp

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Installed returns the filter that a process installed last. It needs
// CAP_SYS_ADMIN, and stops the process for the moment.
func Installed(pid int) ([]unix.SockFilter, error) {
	// Only the thread that attached may ask.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceAttach(pid); err != nil {
		return nil, fmt.Errorf("ptrace attach to %d: %w", pid, err)
	}
	defer unix.PtraceDetach(pid)
	if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != nil {
		return nil, fmt.Errorf("wait for %d to stop: %w", pid, err)
	}
	n, err := getFilter(pid, nil)
	if err != nil {
		return nil, err
	}
	prog := make([]unix.SockFilter, n)
	_, err = getFilter(pid, prog)
	return prog, err
}

// getFilter copies the filter and returns its length.
func getFilter(pid int, into []unix.SockFilter) (int, error) {
	const newest = 0
	n, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SECCOMP_GET_FILTER, uintptr(pid), newest,
		uintptr(unsafe.Pointer(unsafe.SliceData(into))), 0, 0)
	if e != 0 {
		return 0, fmt.Errorf("ptrace, get filter of %d: %w", pid, e)
	}
	return int(n), nil
}
