package seccomp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestCompileRefuses(t *testing.T) {
	num := func(n uint) *uint { return &n }
	base := func(s ...specs.LinuxSyscall) *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: s}
	}
	rule := func(fn func(*specs.LinuxSyscall)) *specs.LinuxSeccomp {
		s := specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActAllow}
		fn(&s)
		return base(specs.LinuxSyscall{Names: []string{"open"}, Action: specs.ActAllow}, s)
	}
	with := func(fn func(*specs.LinuxSeccomp)) *specs.LinuxSeccomp {
		p := base()
		fn(p)
		return p
	}
	for _, tt := range []struct {
		name string
		p    *specs.LinuxSeccomp
		kind fault.Kind
		want string // in the message
	}{
		{"nothing", nil, fault.Invalid, "there is no profile"},
		{"no default", &specs.LinuxSeccomp{}, fault.Invalid, `linux.seccomp.defaultAction: unknown action ""`},
		{"default notify", &specs.LinuxSeccomp{DefaultAction: specs.ActNotify}, fault.Invalid, "SCMP_ACT_NOTIFY cannot be used as default action"},
		{
			"default errno for allow",
			with(func(p *specs.LinuxSeccomp) { p.DefaultAction = specs.ActLog; p.DefaultErrnoRet = num(1) }),
			fault.Invalid, "linux.seccomp.defaultErrnoRet: SCMP_ACT_LOG returns no errno",
		},
		{
			"action", rule(func(s *specs.LinuxSyscall) { s.Action = "SCMP_ACT_ALOW" }),
			fault.Invalid, `linux.seccomp.syscalls[1].action: unknown action "SCMP_ACT_ALOW"`,
		},
		{
			"errno", rule(func(s *specs.LinuxSyscall) { s.Action, s.ErrnoRet = specs.ActErrno, num(4096) }),
			fault.Invalid, "linux.seccomp.syscalls[1].errnoRet: 4096",
		},
		{
			"trace", rule(func(s *specs.LinuxSyscall) { s.Action, s.ErrnoRet = specs.ActTrace, num(0x10000) }),
			fault.Invalid, "linux.seccomp.syscalls[1].errnoRet: 65536",
		},
		{
			"op", rule(func(s *specs.LinuxSyscall) { s.Args = []specs.LinuxSeccompArg{{Op: specs.OpEqualTo}, {Op: "="}} }),
			fault.Invalid, `linux.seccomp.syscalls[1].args[1].op: unknown operator "="`,
		},
		{
			"index", rule(func(s *specs.LinuxSyscall) { s.Args = []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}} }),
			fault.Invalid, "linux.seccomp.syscalls[1].args[0].index: 6 is more than 5",
		},
		{"no names", rule(func(s *specs.LinuxSyscall) { s.Names = nil }), fault.Invalid, "linux.seccomp.syscalls[1].names"},
		{
			"empty name", rule(func(s *specs.LinuxSyscall) { s.Names = []string{"a", ""} }),
			fault.Invalid, "linux.seccomp.syscalls[1].names[1]",
		},
		{
			"notify write",
			rule(func(s *specs.LinuxSyscall) { s.Action, s.Names = specs.ActNotify, []string{"close", "write"} }),
			fault.Invalid, "SCMP_ACT_NOTIFY cannot be used for the write syscall",
		},
		{
			"notify without listener", rule(func(s *specs.LinuxSyscall) { s.Action = specs.ActNotify }),
			fault.Invalid, "linux.seccomp.listenerPath",
		},
		{
			"metadata without listener", with(func(p *specs.LinuxSeccomp) { p.ListenerMetadata = "x" }),
			fault.Invalid, "linux.seccomp.listenerMetadata",
		},
		{
			"arch", with(func(p *specs.LinuxSeccomp) { p.Architectures = []specs.Arch{specs.ArchX86, "SCMP_ARCH_Z80"} }),
			fault.Invalid, `linux.seccomp.architectures[1]: unknown architecture "SCMP_ARCH_Z80"`,
		},
		{
			"flag", with(func(p *specs.LinuxSeccomp) { p.Flags = []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_NEW_LISTENER"} }),
			fault.Invalid, `linux.seccomp.flags[0]: unknown flag "SECCOMP_FILTER_FLAG_NEW_LISTENER"`,
		},
		{"program too long", long(3000), fault.TooLarge, "instructions"},
		{"rules beyond sense", long(5000), fault.TooLarge, "too many rules with args"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compile(tt.p, "amd64")
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v (%v), want %q (%v)", err, fault.KindOf(err), tt.want, tt.kind)
			}
		})
	}
	if _, err := Compile(base(), "vax"); !errors.Is(err, fault.Unsupported) {
		t.Errorf("vax: %v, want Unsupported", err)
	}
}

// long has n rules for one call.
func long(n int) *specs.LinuxSeccomp {
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	for i := range n {
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{
			Names: []string{"mount"}, Action: specs.ActErrno,
			Args: []specs.LinuxSeccompArg{{Index: 4, Value: uint64(i)<<33 | 1, Op: specs.OpEqualTo}},
		})
	}
	return p
}

func TestCompileFlags(t *testing.T) {
	const notify = flagNewListener
	type list = []specs.LinuxSeccompFlag
	for _, tt := range []struct {
		name   string
		flags  list
		notify bool
		want   uint32
	}{
		{"absent", nil, false, flagSpecAllow},
		{"empty", list{}, false, 0},
		{"tsync", list{"SECCOMP_FILTER_FLAG_TSYNC"}, false, 0},
		{"log", list{specs.LinuxSeccompFlagLog}, false, flagLog},
		{"two", list{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow}, false, flagLog | flagSpecAllow},
		{"wait without listener", list{specs.LinuxSeccompFlagWaitKillableRecv}, false, 0},
		{"wait", list{specs.LinuxSeccompFlagWaitKillableRecv}, true, flagWaitKillable | notify},
		{"notify", nil, true, flagSpecAllow | notify},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: tt.flags, ListenerPath: "/s"}
			if tt.notify {
				p.Syscalls = []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActNotify}}
			}
			f, err := Compile(p, "amd64")
			if err != nil {
				t.Fatal(err)
			}
			if f.Flags != tt.want || f.NotifyUsed != tt.notify {
				t.Errorf("flags %#x notify %v, want %#x %v", f.Flags, f.NotifyUsed, tt.want, tt.notify)
			}
		})
	}
}

// TestCompileNotifiesOnlyWhatIsThere: nobody listens for calls that cannot come.
func TestCompileNotifiesOnlyWhatIsThere(t *testing.T) {
	for _, name := range []string{"frobnicate", "waitpid", "cacheflush"} { // of no machine, i386, arm
		p := rules(specs.ActAllow, on(specs.ActNotify, nil, name))
		p.ListenerPath = "/run/listener"
		p.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}
		f, err := Compile(p, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		if f.NotifyUsed || f.Flags != 0 {
			t.Errorf("%s: notify %v, flags %#x", name, f.NotifyUsed, f.Flags)
		}
	}
}

func TestCompileDecides(t *testing.T) {
	seven := uint(7)
	eq := func(i uint, v uint64) []specs.LinuxSeccompArg {
		return []specs.LinuxSeccompArg{{Index: i, Value: v, Op: specs.OpEqualTo}}
	}
	rules := func(s ...specs.LinuxSyscall) []specs.LinuxSyscall { return s }
	on := func(name string, a specs.LinuxSeccompAction, args []specs.LinuxSeccompArg) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: []string{name}, Action: a, Args: args}
	}
	errno7 := specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActErrno, ErrnoRet: &seven}
	for _, tt := range []struct {
		name  string
		rules []specs.LinuxSyscall
		call  Data
		want  string
	}{
		{"first unconditional wins", rules(errno7, on("read", specs.ActAllow, nil)), Data{Nr: 0}, "ERRNO(7)"},
		{"unconditional beats conditional", rules(on("read", specs.ActAllow, eq(0, 0)), errno7), Data{Nr: 0}, "ERRNO(7)"},
		{
			"first conditional wins", rules(on("read", specs.ActAllow, eq(0, 3)), on("read", specs.ActTrap, eq(1, 0))),
			Data{Args: [6]uint64{3}},
			"ALLOW",
		},
		{
			"second conditional", rules(on("read", specs.ActAllow, eq(0, 3)), on("read", specs.ActTrap, eq(1, 0))),
			Data{Args: [6]uint64{4}},
			"TRAP",
		},
		{"a rule with the default action is none", rules(on("read", specs.ActErrno, nil), on("read", specs.ActAllow, eq(0, 0))), Data{}, "ALLOW"},
		{
			"two conditions on one argument are two rules",
			rules(on("read", specs.ActAllow, append(eq(0, 1), eq(0, 2)...))),
			Data{Args: [6]uint64{2}},
			"ALLOW",
		},
		{
			"two conditions on two arguments are one rule",
			rules(on("read", specs.ActAllow, append(eq(0, 1), eq(1, 2)...))),
			Data{Args: [6]uint64{1, 1}},
			"ERRNO(EPERM)",
		},
		{
			"a value outside of the mask", rules(on("read", specs.ActAllow, []specs.LinuxSeccompArg{{Value: 0xf0, ValueTwo: 0x123, Op: specs.OpMaskedEqual}})),
			Data{Args: [6]uint64{0x2f}},
			"ALLOW",
		},
		{"high word", rules(on("read", specs.ActAllow, eq(0, 1))), Data{Args: [6]uint64{1<<32 | 1}}, "ERRNO(EPERM)"},
		{"older and not named", rules(on("fork", specs.ActAllow, nil)), Data{Nr: 56}, "ERRNO(EPERM)"},
		{"newer than all named", rules(on("fork", specs.ActAllow, nil)), Data{Nr: 58}, "ERRNO(ENOSYS)"},
		{"newer than a named one that is refused", rules(on("fork", specs.ActErrno, nil)), Data{Nr: 57}, "ERRNO(EPERM)"},
		{"skipped by a tracer", rules(on("fork", specs.ActAllow, nil)), Data{Nr: -1}, "ERRNO(ENOSYS)"},
		{"x32 not listed", rules(on("read", specs.ActAllow, nil)), Data{Nr: x32Bit}, "KILL_PROCESS"},
		{"other machine", rules(on("read", specs.ActAllow, nil)), Data{Arch: auditArch[arm64]}, "KILL_PROCESS"},
		{"unknown name", rules(on("frobnicate", specs.ActAllow, nil)), Data{Nr: 1000}, "ERRNO(EPERM)"},
		{
			"socketcall for a refused socket", rules(on("socket", specs.ActKill, eq(0, 38))),
			Data{Arch: auditArch[i386], Nr: 102, Args: [6]uint64{1}},
			"KILL_THREAD",
		},
		{
			"no socketcall for a socket with conditions", rules(on("socket", specs.ActAllow, eq(0, 2))),
			Data{Arch: auditArch[i386], Nr: 102, Args: [6]uint64{1}},
			"ERRNO(EPERM)",
		},
		{
			"socketcall for accept", rules(on("accept", specs.ActAllow, nil)),
			Data{Arch: auditArch[i386], Nr: 102, Args: [6]uint64{5}},
			"ALLOW",
		},
		{
			"64-bit -1 on 32 bits", rules(on("read", specs.ActAllow, eq(0, 1<<64-1))),
			Data{Arch: auditArch[i386], Nr: 3, Args: [6]uint64{0xffffffff}},
			"ALLOW",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &specs.LinuxSeccomp{
				DefaultAction: specs.ActErrno, Syscalls: tt.rules,
				Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchAARCH64},
			}
			f, err := Compile(p, "amd64")
			if err != nil {
				t.Fatal(err)
			}
			if tt.call.Arch == 0 {
				tt.call.Arch = auditArch[amd64]
			}
			got, err := Simulate(f.Prog, tt.call)
			if err != nil || Verdict(got) != tt.want {
				t.Errorf("got %s, %v, want %s", Verdict(got), err, tt.want)
			}
		})
	}
}

// TestCompileSteps keeps the promise of the tree: what an ordinary call costs.
func TestCompileSteps(t *testing.T) {
	p := Default(Host{Arch: "amd64", Kernel: [2]int{6, 18}})
	f, err := Compile(p, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for nr := range int32(480) {
		n := 0
		for pc := 0; ; n++ {
			in := f.Prog[pc]
			if in.Code == opRet {
				break
			}
			pc++
			switch in.Code {
			case opJump:
				pc += int(in.K)
			case opLoad:
				if in.K >= offArgs {
					n -= 40 // conditions are not the tree's fault
				}
			default:
				acc := uint32(nr)
				if in.K == auditArch[amd64] {
					acc = in.K
				}
				if in.holds(acc) {
					pc += int(in.Jt)
				} else {
					pc += int(in.Jf)
				}
			}
		}
		most = max(most, n)
	}
	if most > 12 {
		t.Errorf("a call costs %d instructions, want at most 12", most)
	}
	if len(f.Prog) > 600 {
		t.Errorf("%d instructions, want at most 600", len(f.Prog))
	}
}

func TestDisassembleGolden(t *testing.T) {
	two := uint(2)
	p := &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86},
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read", "write", "exit_group"}, Action: specs.ActAllow},
			{Names: []string{"clone"}, Action: specs.ActAllow, Args: word(0, 0x10000000, 0)},
			{Names: []string{"fcntl"}, Action: specs.ActErrno, ErrnoRet: &two, Args: []specs.LinuxSeccompArg{
				{Index: 1, Value: 4, Op: specs.OpGreaterThan},
				{Index: 2, Value: 0xff00, ValueTwo: 0x1200, Op: specs.OpMaskedEqual},
			}},
		},
	}
	f, err := Compile(p, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(Disassemble(f.Prog), "\n") + "\n"
	golden := filepath.Join("testdata", "disassemble.golden")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("run with UPDATE=1 and review:\n%s", d)
	}
}

func TestSimulateRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		prog []Insn
	}{
		{"empty", nil},
		{"no verdict", []Insn{{Code: opLoad}}},
		{"jump out", []Insn{{Code: opJump, K: 1<<32 - 1}}},
		{"unaligned load", []Insn{{Code: opLoad, K: 2}, {Code: opRet}}},
		{"load behind the end", []Insn{{Code: opLoad, K: 64}, {Code: opRet}}},
		{"unknown", []Insn{{Code: 0xffff}}},
		{"too long", make([]Insn, maxInsns+1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := Simulate(tt.prog, Data{}); !errors.Is(err, fault.Invalid) {
				t.Errorf("got %#x, %v, want Invalid", got, err)
			}
		})
	}
	f := []Insn{{Code: opLoad, K: 8}, {Code: opJeq, K: 5, Jf: 1}, {Code: opRet, K: 1}, {Code: opRet, K: 2}}
	if got, err := Simulate(f, Data{IP: 9<<32 | 5}); got != 1 || err != nil {
		t.Errorf("instruction pointer: %d, %v, want 1", got, err)
	}
}

func TestDisassembleForeign(t *testing.T) {
	for i, line := range Disassemble([]Insn{{Code: 0x16}, {Code: opLoad, K: 4000}, {Code: opRet, K: 0x12340000}, {Code: opJump, K: 2}}) {
		if !strings.HasPrefix(strings.TrimSpace(line), fmt.Sprint(i)) {
			t.Errorf("line %d is %q", i, line)
		}
	}
}
