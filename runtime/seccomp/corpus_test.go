package seccomp

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A sample is a profile that filters are compared for.
type sample struct {
	name string
	arch string // GOARCH
	*specs.LinuxSeccomp
}

var everyAction = []specs.LinuxSeccompAction{
	specs.ActKillProcess, specs.ActKillThread, specs.ActKill, specs.ActTrap,
	specs.ActErrno, specs.ActTrace, specs.ActLog, specs.ActAllow,
}

// machineArchs are all architectures that a machine of the corpus may list.
var machineArchs = map[string][]specs.Arch{
	"amd64": {specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
	"arm64": {specs.ArchAARCH64, specs.ArchARM},
}

// corpus are the profiles that our filters and libseccomp's are compared for.
func corpus(t testing.TB) []sample {
	t.Helper()
	var out []sample
	for _, goarch := range []string{"amd64", "arm64"} {
		all := machineArchs[goarch]
		add := func(name string, p *specs.LinuxSeccomp) {
			if p.Architectures == nil {
				p.Architectures = all
			}
			out = append(out, sample{goarch + " " + name, goarch, p})
		}
		addOperators(add)
		addActions(add)
		addShapes(add)
		addMultiplexed(add)
		add("default", with(Default(Host{Arch: goarch, Kernel: [2]int{6, 18}}), nil))
		add("default for an administrator", with(Default(Host{
			Arch: goarch, Caps: []string{"CAP_SYS_ADMIN", "CAP_SYS_NICE", "CAP_BPF"}, Kernel: [2]int{6, 18},
		}), all))
	}
	out = append(out, archSamples()...)
	return append(out, engineSamples(t)...)
}

func with(p *specs.LinuxSeccomp, archs []specs.Arch) *specs.LinuxSeccomp {
	if archs != nil {
		p.Architectures = archs
	}
	return p
}

type adder func(name string, p *specs.LinuxSeccomp)

func rules(def specs.LinuxSeccompAction, s ...specs.LinuxSyscall) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: def, Syscalls: s}
}

func on(a specs.LinuxSeccompAction, args []specs.LinuxSeccompArg, names ...string) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: names, Action: a, Args: args}
}

func onErrno(errno uint, args []specs.LinuxSeccompArg, names ...string) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: names, Action: specs.ActErrno, ErrnoRet: &errno, Args: args}
}

func arg(index uint, op specs.LinuxSeccompOperator, value uint64) specs.LinuxSeccompArg {
	a := specs.LinuxSeccompArg{Index: index, Op: op, Value: value}
	if op == specs.OpMaskedEqual {
		a.ValueTwo = value & 0x5555555555555555
	}
	return a
}

func args(a ...specs.LinuxSeccompArg) []specs.LinuxSeccompArg { return a }

// addOperators adds each operator with values that sit at the edges of words.
func addOperators(add adder) {
	for i, op := range operators {
		for j, v := range []uint64{0x21, 0x1_0000_0001, 0xffff_ffff, 0xffff_ffff_ffff_fffd} {
			deny := specs.ActAllow
			if (i+j)%2 == 0 {
				deny = specs.ActErrno
			}
			p := rules(deny, on(specs.ActTrap, args(arg(uint(j), op, v)), "fcntl"), on(specs.ActLog, nil, "exit_group", "memfd_create"))
			add(fmt.Sprintf("%s %#x", op, v), p)
		}
	}
	var masks []specs.LinuxSyscall
	for i, m := range []uint64{1, 0x8000_0000, 0xff, 0xffff_ff00, 0x7e02_0000, 0xffff_ffff, 1 << 32, 1<<32 | 1, 0xffff_ffff_0000_0000, 1<<64 - 1} {
		name := []string{"read", "write", "lseek", "mmap", "clone", "dup", "ioctl", "pread64", "fcntl", "setuid"}[i]
		masks = append(masks, on(specs.ActAllow, args(arg(uint(i%6), specs.OpMaskedEqual, m|1)), name))
	}
	add("masks", rules(specs.ActErrno, masks...))
	for i, m := range []uint64{0, 0xff, 1 << 31, 0xff << 32, 0xf0f0_0000_0f0f} {
		a := arg(uint(i), specs.OpMaskedEqual, m)
		a.ValueTwo = 0x21_0000_0321
		add(fmt.Sprintf("a value outside of mask %#x", m), rules(specs.ActAllow, on(specs.ActTrap, args(a), "fcntl"), on(specs.ActLog, nil, "exit_group")))
	}
}

// addActions adds each action as the default, with rules of all others.
func addActions(add adder) {
	for _, def := range everyAction {
		p := rules(def)
		for i, a := range everyAction {
			p.Syscalls = append(p.Syscalls, on(a, nil, syscalls[40+20*i].name), on(a, args(arg(2, specs.OpGreaterThan, 7)), syscalls[41+20*i].name))
		}
		add("all but "+string(def), p)
	}
	for _, e := range []uint{0, 1, 38, 4094} {
		p := rules(specs.ActErrno, onErrno(4094-e, nil, "read"), onErrno(e/2+9, args(arg(0, specs.OpEqualTo, 0)), "write"), on(specs.ActAllow, nil, "exit_group"))
		p.DefaultErrnoRet = &e
		add(fmt.Sprintf("errno %d", e), p)
	}
	trace := rules(specs.ActTrace, onErrno(0, nil, "read"), on(specs.ActAllow, nil, "mseal"))
	trace.DefaultErrnoRet = new(uint)
	trace.Syscalls[1].Names[0] = "exit_group"
	add("trace with a value", trace)
	notify := rules(specs.ActAllow, on(specs.ActNotify, nil, "mkdirat", "close"), on(specs.ActNotify, args(arg(0, specs.OpLessThan, 3)), "dup"))
	notify.ListenerPath = "/run/listener"
	add("notify", notify)
}

// addShapes adds what profiles look like.
func addShapes(add adder) {
	const errno, allow = specs.ActErrno, specs.ActAllow
	var everything, half []string
	for i := range syscalls {
		everything = append(everything, syscalls[i].name)
		if i%2 == 0 {
			half = append(half, syscalls[i].name)
		}
	}
	add("no rules", rules(errno))
	add("strict", rules(specs.ActKill, on(allow, nil, "read", "write", "exit", "rt_sigreturn")))
	add("every call", rules(errno, on(allow, nil, everything...)))
	add("every other call", rules(errno, on(allow, nil, half...)))
	add("deny list", rules(allow, on(errno, nil, "mount", "umount2", "reboot", "kexec_load", "swapon"), on(specs.ActKillProcess, nil, "ptrace", "bpf")))
	add("unknown names", rules(errno, on(allow, nil, "frobnicate", "read", "exit_group", "ni_syscall")))
	each := rules(allow)
	for i := range syscalls {
		each.Syscalls = append(each.Syscalls, onErrno(uint(i+1), nil, syscalls[i].name))
	}
	add("an errno for each call", each)

	add("and", rules(errno, on(allow, args(arg(0, specs.OpEqualTo, 3), arg(1, specs.OpGreaterEqual, 1<<33), arg(5, specs.OpMaskedEqual, 0xff)), "mmap", "futex")))
	var six []specs.LinuxSeccompArg
	for i := range uint(6) {
		six = append(six, arg(i, operators[i], uint64(i)<<31+5))
	}
	add("six conditions", rules(errno, on(allow, six, "sendto", "copy_file_range")))
	add("two rules for one call", rules(errno,
		on(allow, args(arg(0, specs.OpEqualTo, 1), arg(1, specs.OpEqualTo, 7)), "dup3"), on(allow, args(arg(2, specs.OpEqualTo, 0)), "dup3")))
	var values []specs.LinuxSyscall
	for _, v := range []uint64{0, 8, 0x20000, 0x20008, 0xffffffff} {
		values = append(values, on(allow, args(arg(0, specs.OpEqualTo, v)), "personality"))
	}
	add("several values of one argument", rules(errno, values...))
	add("one argument twice", rules(errno, on(allow, args(arg(0, specs.OpEqualTo, 8), arg(0, specs.OpEqualTo, 9)), "personality")))
	add("one argument twice and another", rules(errno, on(allow, args(arg(0, specs.OpEqualTo, 8), arg(0, specs.OpEqualTo, 9), arg(1, specs.OpEqualTo, 1)), "fcntl")))
	add("a range by two conditions", rules(errno, on(allow, args(arg(1, specs.OpGreaterEqual, 16), arg(1, specs.OpLessThan, 32)), "fcntl")))
	add("with and without conditions", rules(errno, on(allow, args(arg(0, specs.OpEqualTo, 8)), "fcntl"), onErrno(9, nil, "fcntl"), on(allow, nil, "fcntl")))
	add("overlapping rules", rules(errno, on(specs.ActTrap, args(arg(0, specs.OpLessThan, 8)), "fcntl"), on(allow, args(arg(1, specs.OpEqualTo, 1)), "fcntl")))
	add("an action like the default", rules(errno, on(errno, nil, "read", "mseal"), on(allow, args(arg(0, specs.OpEqualTo, 8)), "read")))
}

// addMultiplexed adds calls that 32-bit programs also reach through socketcall
// and ipc.
func addMultiplexed(add adder) {
	const errno, allow = specs.ActErrno, specs.ActAllow
	add("sockets", rules(errno, on(allow, nil, "socket", "connect", "accept", "sendmmsg", "shmget", "semop")))
	add("sockets and socketcall", rules(errno, on(allow, nil, "socket", "accept4", "socketcall", "ipc", "msgget")))
	add("no sockets", rules(allow, onErrno(13, nil, "socket", "bind", "semget", "shmat")))
	add("no vsock", rules(allow, onErrno(97, args(arg(0, specs.OpEqualTo, 40)), "socket")))
	add("one family", rules(errno, on(allow, args(arg(0, specs.OpEqualTo, 1)), "socket")))
}

// archSamples list few, no, or foreign architectures.
func archSamples() []sample {
	p := func(archs ...specs.Arch) *specs.LinuxSeccomp {
		p := rules(specs.ActErrno, on(specs.ActAllow, nil, "read", "openat", "socket", "exit_group"), on(specs.ActLog, args(arg(0, specs.OpEqualTo, 1)), "write"))
		p.Architectures = archs
		return p
	}
	return []sample{
		{"amd64 no architectures", "amd64", p()},
		{"amd64 i386 alone", "amd64", p(specs.ArchX86)},
		{"amd64 x32 alone", "amd64", p(specs.ArchX32)},
		{"amd64 others", "amd64", p(specs.ArchMIPSEL64, specs.ArchAARCH64, specs.ArchRISCV64)},
		{"arm64 no architectures", "arm64", p()},
		{"arm64 arm alone", "arm64", p(specs.ArchARM)},
	}
}

// podmanProfile is the default one of podman, where that is installed.
const podmanProfile = "/usr/share/containers/seccomp.json"

// engineSamples are the default profiles of other engines.
func engineSamples(t testing.TB) []sample {
	t.Helper()
	engines, texts := []string{"docker"}, [][]byte{dockerDefault(t)}
	if text, err := os.ReadFile(podmanProfile); err == nil {
		engines, texts = append(engines, "podman"), append(texts, text)
	} else {
		t.Logf("without the profile of podman: %v", err)
	}
	var out []sample
	for i, engine := range engines {
		for _, goarch := range []string{"amd64", "arm64"} {
			for _, caps := range [][]string{nil, {"CAP_SYS_ADMIN", "CAP_AUDIT_WRITE"}} {
				p, err := FromDocker(texts[i], Host{Arch: goarch, Caps: caps, Kernel: [2]int{6, 18}})
				if err != nil {
					t.Fatalf("%s: %v", engine, err)
				}
				out = append(out, sample{fmt.Sprintf("%s %s %v", goarch, engine, caps), goarch, p})
			}
		}
	}
	return out
}

func (s sample) String() string {
	text, err := json.Marshal(s.LinuxSeccomp)
	if err != nil {
		return err.Error()
	}
	return s.name + "\n" + string(text[:min(len(text), 4000)])
}
