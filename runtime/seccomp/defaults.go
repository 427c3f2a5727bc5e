package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Host is what a profile may depend on.
type Host struct {
	Arch   string   // GOARCH
	Caps   []string // CAP_X: the container's bounding set
	Kernel [2]int   // major, minor
}

// Default is the profile of a container that asked for none: what ordinary
// programs need is allowed, the rest fails with EPERM, and calls younger than
// this list with ENOSYS. Capabilities open what is useless without them.
//
// Forbidden on purpose, beside everything that only an administrator needs:
// the kernel's key rings, which have no namespace; io_uring and userfaultfd,
// the favourite tools of kernel exploits; new user namespaces; sockets of
// families that reach the host (vsock) or that only enlarge the kernel's
// surface (alg); typing into a terminal (TIOCSTI); the x32 ABI.
//
// The result belongs to the caller.
func Default(h Host) *specs.LinuxSeccomp {
	eperm := uint(ePerm)
	p := &specs.LinuxSeccomp{
		DefaultAction:   specs.ActErrno,
		DefaultErrnoRet: &eperm,
		Architectures:   defaultArchitectures(h.Arch),
	}
	names := slices.Clone(ordinary[:])
	for _, o := range openings {
		if slices.Contains(h.Caps, o.capability) {
			names = append(names, o.names...)
		}
	}
	if atLeast(h.Kernel, 4, 8) { // before that, ptrace could escape the filter
		names = append(names, tracing...)
	}
	slices.Sort(names)
	p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: slices.Compact(names), Action: specs.ActAllow})
	p.Syscalls = append(p.Syscalls, personalityRules()...)
	p.Syscalls = append(p.Syscalls, socketRules()...)
	if !slices.Contains(h.Caps, "CAP_SYS_ADMIN") {
		p.Syscalls = append(p.Syscalls, cloneRules()...)
		p.Syscalls = append(p.Syscalls, ioctlRules()...)
	}
	return p
}

// defaultArchitectures are the machine's own ABI and the one of its 32-bit
// programs. x32 is not among them: nobody uses it and every filter for amd64
// that forgets it has a hole.
func defaultArchitectures(goarch string) []specs.Arch {
	m, ok := machineOf(goarch)
	if !ok {
		return nil
	}
	var out []specs.Arch
	for _, b := range m.abis {
		if b != x32 {
			out = append(out, abiNames[b])
		}
	}
	return out
}

func atLeast(kernel [2]int, major, minor int) bool {
	return kernel[0] > major || kernel[0] == major && kernel[1] >= minor
}

// word is a condition on the low 32 bits of an argument. The kernel cuts
// arguments of type int itself; a filter that looked at all 64 bits could be
// passed by setting a high one.
func word(index uint, mask, value uint32) []specs.LinuxSeccompArg {
	return []specs.LinuxSeccompArg{{Index: index, Value: uint64(mask), ValueTwo: uint64(value), Op: specs.OpMaskedEqual}}
}

func allow(name string, args []specs.LinuxSeccompArg) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: []string{name}, Action: specs.ActAllow, Args: args}
}

// personalityRules allow to ask, and to choose Linux or Linux on 32 bits with
// or without the old kernel's uname. linux/personality.h.
func personalityRules() []specs.LinuxSyscall {
	const (
		linux32 = 0x0008
		uname26 = 0x20000
		ask     = 0xffffffff
	)
	var out []specs.LinuxSyscall
	for _, v := range [...]uint32{0, linux32, uname26, uname26 | linux32, ask} {
		out = append(out, allow("personality", word(0, 0xffffffff, v)))
	}
	return out
}

// socketRules allow the families of the list. A rule covers an aligned block
// of 2^n families, which needs fewer rules than one for each.
func socketRules() []specs.LinuxSyscall {
	allowed := uint64(0)
	for _, f := range families {
		allowed |= 1 << f
	}
	var out []specs.LinuxSyscall
	for f := uint32(0); f < 64; {
		size := uint32(1)
		for f%(2*size) == 0 && full(allowed, f, 2*size) {
			size *= 2
		}
		if full(allowed, f, size) {
			out = append(out, allow("socket", word(0, ^(size-1), f)))
		}
		f += size
	}
	return out
}

// full reports whether size bits of set from bit on are all set.
func full(set uint64, from, size uint32) bool {
	if from+size > 64 {
		return false
	}
	block := (uint64(1)<<size - 1) << from
	return set&block == block
}

// cloneRules allow threads and processes but no namespaces. The flags of
// clone3 are behind a pointer, so it seems not to exist and libc takes clone.
func cloneRules() []specs.LinuxSyscall {
	const namespaces = 0x00020000 | // CLONE_NEWNS
		0x02000000 | // NEWCGROUP
		0x04000000 | // NEWUTS
		0x08000000 | // NEWIPC
		0x10000000 | // NEWUSER
		0x20000000 | // NEWPID
		0x40000000 // NEWNET; NEWTIME exists only for clone3 and unshare
	enosys := uint(eNoSys)
	return []specs.LinuxSyscall{
		allow("clone", word(0, namespaces, 0)),
		{Names: []string{"clone3"}, Action: specs.ActErrno, ErrnoRet: &enosys},
	}
}

// ioctlRules allow every ioctl but TIOCSTI. A rule for each bit says: fine when
// this bit is not the one of TIOCSTI. A plain NE would look at all 64 bits, and
// profiles have no other way to say "not these 32". The bits that TIOCSTI has
// not come first: a compiler can test neighbours of one kind at once.
func ioctlRules() []specs.LinuxSyscall {
	const tiocsti = uint32(0x5412)
	out := make([]specs.LinuxSyscall, 0, 32)
	for _, bits := range [...]uint32{^tiocsti, tiocsti} {
		for i := range 32 {
			if bit := bits & (1 << i); bit != 0 {
				out = append(out, allow("ioctl", word(1, bit, ^tiocsti&bit)))
			}
		}
	}
	return out
}
