package launch

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The hooks that package syscall uses around its own fork. Go keeps their
// names and signatures because others use them the same way; see the comments
// at their definitions in runtime/proc.go.

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// report is what the child tells without a descriptor. It lies in a mapping
// that parent and child share.
//
//	0  op     index of the op being run
//	4  errno  why it failed; 0 while nothing has
//	8  pid    the process that goes on after a fork op, host's view
//	12 ops    number of ops, written by the parent: the file explains itself
type report struct {
	op, errno, pid, ops uint32
}

// cloneArgs is struct clone_args of clone3(2).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// spawn forks; the child runs the ops and never returns. No declaration below
// beforeFork may allocate.
//
//go:noinline
//go:norace
func spawn(args *cloneArgs, ops *op, n uintptr, rep *report) (pid uintptr, errno syscall.Errno) {
	beforeFork()
	pid, _, errno = syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	if errno != 0 || pid != 0 {
		afterFork()
		return pid, errno
	}
	afterForkInChild()
	interpret(ops, n, rep)
	return 0, 0
}

// interpret is the child's whole life before exec. It runs on a copy of the
// parent's stack, which must not grow: no call but raw system calls.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func interpret(ops *op, n uintptr, rep *report) {
	var (
		i, r, tries uintptr
		errno       syscall.Errno
		o           *op
	)
next:
	for i < n {
		o = (*op)(unsafe.Add(unsafe.Pointer(ops), i*unsafe.Sizeof(*ops)))
		rep.op = uint32(i)
		switch o.kind {
		case opJump:
			i += 1 + uintptr(o.skip)
			continue
		case opFail:
			errno = syscall.Errno(o.want)
			break next
		}
		r, _, errno = syscall.RawSyscall6(o.nr, o.arg[0], o.arg[1], o.arg[2], o.arg[3], o.arg[4], o.arg[5])
		if errno == syscall.EINTR || (errno == syscall.EAGAIN && o.nr == unix.SYS_OPENAT2) {
			// openat2 says EAGAIN when something was renamed under it.
			if tries++; tries < 128 {
				continue
			}
		}
		tries = 0
		if errno != 0 {
			if uint16(errno) == o.ok[0] || uint16(errno) == o.ok[1] || uint16(errno) == o.ok[2] || uint16(errno) == o.ok[3] {
				i++
				continue
			}
			break next
		}
		if o.into >= 0 && r != uintptr(o.into) {
			if _, _, errno = syscall.RawSyscall(unix.SYS_DUP3, r, uintptr(o.into), unix.O_CLOEXEC); errno != 0 {
				break next
			}
			syscall.RawSyscall(unix.SYS_CLOSE, r, 0, 0)
		}
		if o.kind == opMust && r != o.want {
			errno = syscall.EIO
			if r == 0 && o.nr == unix.SYS_READ {
				errno = syscall.EPIPE // the parent is gone
			}
			break next
		}
		if o.kind == opFork && r != 0 {
			rep.pid = uint32(r)
			for {
				syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
			}
		}
		i += 1 + uintptr(o.skip)
	}
	rep.errno = uint32(errno)
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
	}
}
