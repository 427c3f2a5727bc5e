package seccomp

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// An abi is one way into the kernel: a set of numbers and of argument widths.
type abi int

// The order is that of the columns of the generated table.
const (
	amd64 abi = iota
	i386
	x32
	arm64
	arm
	abis
)

// A syscall is one row of the generated table.
type syscall struct {
	name string
	nr   [abis]int32
}

// x32Bit marks the calls of x32. They come with the audit number of amd64.
const x32Bit = 1 << 30

// armPrivate is where arm's calls of its own start: cacheflush, set_tls, ...
const armPrivate = 0xf0000

// noCall is the number a tracer sets to skip a call.
const noCall = 0xffffffff

var abiNames = [abis]specs.Arch{
	amd64: specs.ArchX86_64,
	i386:  specs.ArchX86,
	x32:   specs.ArchX32,
	arm64: specs.ArchAARCH64,
	arm:   specs.ArchARM,
}

// auditArch is the kernel's AUDIT_ARCH_ number, linux/audit.h.
var auditArch = [abis]uint32{
	amd64: 0xc000003e,
	i386:  0x40000003,
	x32:   0xc000003e,
	arm64: 0xc00000b7,
	arm:   0x40000028,
}

// wide reports whether arguments have 64 bits.
func (a abi) wide() bool { return a != i386 && a != arm }

// A machine is a GOARCH and the ABIs its kernel may offer, its own first.
type machine struct {
	goarch string
	docker string // its name in the arches lists of Docker's profiles
	abis   []abi
}

var machines = [...]machine{
	{"amd64", "amd64", []abi{amd64, i386, x32}},
	{"arm64", "arm64", []abi{arm64, arm}},
	{"386", "x86", []abi{i386}},
	{"arm", "arm", []abi{arm}},
}

func machineOf(goarch string) (machine, bool) {
	for _, m := range machines {
		if m.goarch == goarch {
			return m, true
		}
	}
	return machine{}, false
}

// find returns the row of a call in the table, or -1. It starts looking at row
// near: the names of a rule are mostly sorted, as the table is.
func find(name string, near int) int {
	from, to := 0, len(syscalls)
	if near < to && syscalls[near].name <= name {
		from = near
		for step := 1; from+step < to; step *= 2 {
			if syscalls[from+step].name > name {
				to = from + step
				break
			}
			from += step
		}
	}
	i, ok := slices.BinarySearchFunc(syscalls[from:to], name, func(s syscall, name string) int {
		return strings.Compare(s.name, name)
	})
	if !ok {
		return -1
	}
	return from + i
}

// Calls of i386 that take the number of a function and a pointer to its
// arguments.
const (
	socketcall = 102
	ipc        = 117
)

// multiplexed says how i386 also reaches a call: as function fn of another
// call. 0: it does not.
func (s *syscall) multiplexed() (through int32, fn int) {
	// Such calls have no number of their own, or a late one: recvmmsg (337) is
	// the first. Few others come as far as comparing names.
	if nr := s.nr[i386]; nr >= 0 && nr < 337 {
		return 0, 0
	}
	if i := slices.Index(socketFunctions[:], s.name); i > 0 {
		return socketcall, i
	}
	if i := slices.Index(ipcFunctions[:], s.name); i > 0 {
		return ipc, i
	}
	return 0, 0
}

// linux/net.h
var socketFunctions = [...]string{
	1: "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername",
	"socketpair", "send", "recv", "sendto", "recvfrom", "shutdown", "setsockopt",
	"getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg",
}

// linux/ipc.h
var ipcFunctions = [...]string{
	1: "semop", "semget", "semctl", "semtimedop",
	11: "msgsnd", "msgrcv", "msgget", "msgctl",
	21: "shmat", "shmdt", "shmget", "shmctl",
}
