package kernel

import (
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// LastCap is the number of the kernel's last capability: of others prctl(2)
// does not say whether we may have them; see capabilities(7).
var LastCap = sync.OnceValue(func() uint8 {
	n := uint8(unix.CAP_LAST_CAP)
	for n > 0 && !knowsCap(n) {
		n--
	}
	for n < 63 && knowsCap(n+1) {
		n++
	}
	return n
})

func knowsCap(n uint8) bool {
	_, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
	return err == nil
}

// Caps are our permitted capabilities, as bits; 0 if the kernel does not say.
func Caps() uint64 {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0
	}
	return uint64(data[1].Permitted)<<32 | uint64(data[0].Permitted)
}

// Mapped says whether we are in a user namespace that is not the machine's,
// whose users are a part of the machine's or others.
func Mapped() bool {
	var buf [256]byte // more does not matter: it has three fields, or not
	n, err := readSmall("/proc/self/uid_map", buf[:])
	f := strings.Fields(string(buf[:n]))
	return err != nil || len(f) != 3 || f[0] != "0" || f[1] != "0" || f[2] != "4294967295"
}

// SELinux says whether the machine has it, enforcing or not.
func SELinux() bool {
	_, err := os.Stat("/sys/fs/selinux/enforce")
	return err == nil
}

// FileLimit is our hard limit of open descriptors, 0 if the kernel does not say.
func FileLimit() uint64 {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	return l.Max
}

// LowerAppend says whether overlay takes "lowerdir+" through fsconfig(2),
// which came with Linux 6.8. Asking is not cheap: to let go of an overlay
// that was only asked waits for a grace period of the kernel, a millisecond.
func LowerAppend() bool {
	return AtLeast(6, 8)
}

// SeccompFlags reports whether seccomp(2) takes filters with these flags: it
// looks at the flags before the filter, which is missing here.
func SeccompFlags(bits uint32) bool {
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(bits), 0)
	return e == unix.EFAULT
}

// Release is the kernel's, as uname -r prints it.
func Release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// AtLeast says whether the kernel has that version, for features that cannot be
// probed, or not cheaply.
func AtLeast(major, minor int) bool {
	v := Version()
	return v[0] > major || v[0] == major && v[1] >= minor
}

// Version is the kernel's release as two numbers: 6.12 is {6, 12}.
func Version() [2]int {
	major, rest, _ := strings.Cut(Release(), ".")
	minor, _, _ := strings.Cut(rest, ".")
	end := strings.IndexFunc(minor, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		minor = minor[:end]
	}
	a, _ := strconv.Atoi(major)
	b, _ := strconv.Atoi(minor)
	return [2]int{a, b}
}

// Random fills b with random bytes. Package crypto/rand does the same with
// more guarantees than an identifier needs, and takes time at every start of a
// program that imports it.
func Random(b []byte) {
	for len(b) > 0 {
		n, err := unix.Getrandom(b, 0)
		if err != nil && err != unix.EINTR {
			panic("kernel: no random bytes: " + err.Error()) // since Linux 3.17 there are always some
		}
		b = b[max(n, 0):]
	}
}
