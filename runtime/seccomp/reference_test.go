package seccomp

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// reference says what a profile means for one call, the slow and plain way:
// by looking at every rule. It shares only the table of numbers with Compile.
func reference(p *specs.LinuxSeccomp, goarch string, d Data) uint32 {
	def := refVerdict(p.DefaultAction, p.DefaultErrnoRet)
	unknown := uint32(retErrno | eNoSys)
	if p.DefaultAction == specs.ActAllow || p.DefaultAction == specs.ActLog || p.DefaultAction == specs.ActTrace {
		unknown = def
	}
	b, ok := refABI(p, goarch, d)
	if !ok {
		return retKillProcess
	}
	if b == amd64 && uint32(d.Nr) == 0xffffffff {
		return unknown
	}

	newest := int32(-1)            // of the ordinary calls
	private := []int32{1 << 30, 0} // of arm: first and last
	var conditional, always []uint32
	for _, r := range p.Syscalls {
		ret := refVerdict(r.Action, r.ErrnoRet)
		for _, name := range r.Names {
			nr := refNumber(name, b)
			if b == arm && nr >= 0xf0000 {
				private = []int32{min(private[0], nr), max(private[1], nr)}
			} else {
				newest = max(newest, nr)
			}
			if ret == def {
				continue
			}
			switch {
			case nr >= 0 && nr == d.Nr && len(r.Args) == 0:
				always = append(always, ret)
			case nr >= 0 && nr == d.Nr && refHolds(r.Args, b, d):
				conditional = append(conditional, ret)
			}
			open := r.Action == specs.ActAllow || r.Action == specs.ActLog || r.Action == specs.ActTrace
			if through, fn := refMultiplexed(name); b == i386 && fn > 0 && (len(r.Args) == 0 || !open) {
				newest = max(newest, through)
				if d.Nr == through && uint32(d.Args[0]) == fn {
					conditional = append(conditional, ret)
				}
			}
		}
	}
	switch {
	case len(always) > 0:
		return always[0]
	case len(conditional) > 0:
		return conditional[0]
	case newest < 0 && private[1] == 0:
		return def
	case d.Nr >= 0 && d.Nr <= newest:
		return def
	case d.Nr >= 0 && d.Nr <= private[1] && (newest < 0 || d.Nr >= private[0]):
		return def
	}
	return unknown
}

func refABI(p *specs.LinuxSeccomp, goarch string, d Data) (abi, bool) {
	listed := func(a specs.Arch) bool { return slices.Contains(p.Architectures, a) }
	switch {
	case goarch == "amd64" && d.Arch == 0xc000003e && (uint32(d.Nr) < 0x40000000 || d.Nr == -1):
		return amd64, true
	case goarch == "amd64" && d.Arch == 0xc000003e:
		return x32, listed(specs.ArchX32)
	case goarch == "amd64" && d.Arch == 0x40000003:
		return i386, listed(specs.ArchX86)
	case goarch == "arm64" && d.Arch == 0xc00000b7:
		return arm64, true
	case goarch == "arm64" && d.Arch == 0x40000028:
		return arm, listed(specs.ArchARM)
	}
	return 0, false
}

var refTable = sync.OnceValue(func() map[string]syscall {
	m := map[string]syscall{}
	for _, s := range syscalls {
		m[s.name] = s
	}
	return m
})

func refNumber(name string, b abi) int32 {
	if s, ok := refTable()[name]; ok {
		return s.nr[b]
	}
	return -1
}

// refName returns the name of a number.
func refName(b abi, nr int32) string {
	for _, s := range syscalls {
		if b >= 0 && s.nr[b] == nr {
			return s.name
		}
	}
	return ""
}

func refHolds(args []specs.LinuxSeccompArg, b abi, d Data) bool {
	count := map[uint]int{}
	twice, any, all := false, false, true
	for _, a := range args {
		count[a.Index]++
		twice = twice || count[a.Index] > 1
		x, v, w := d.Args[a.Index], a.Value, a.ValueTwo
		if b == i386 || b == arm {
			x, v, w = uint64(uint32(x)), uint64(uint32(v)), uint64(uint32(w))
		}
		ok := map[specs.LinuxSeccompOperator]bool{
			specs.OpEqualTo:      x == v,
			specs.OpNotEqual:     x != v,
			specs.OpLessThan:     x < v,
			specs.OpLessEqual:    x <= v,
			specs.OpGreaterThan:  x > v,
			specs.OpGreaterEqual: x >= v,
			specs.OpMaskedEqual:  x&v == w&v,
		}[a.Op]
		any, all = any || ok, all && ok
	}
	return twice && any || all
}

var (
	refSockets = map[string]uint32{
		"socket": 1, "bind": 2, "connect": 3, "listen": 4, "accept": 5, "getsockname": 6, "getpeername": 7,
		"socketpair": 8, "send": 9, "recv": 10, "sendto": 11, "recvfrom": 12, "shutdown": 13, "setsockopt": 14,
		"getsockopt": 15, "sendmsg": 16, "recvmsg": 17, "accept4": 18, "recvmmsg": 19, "sendmmsg": 20,
	}
	refIPC = map[string]uint32{
		"semop": 1, "semget": 2, "semctl": 3, "semtimedop": 4, "msgsnd": 11, "msgrcv": 12, "msgget": 13,
		"msgctl": 14, "shmat": 21, "shmdt": 22, "shmget": 23, "shmctl": 24,
	}
	refVerdicts = map[specs.LinuxSeccompAction]uint32{
		specs.ActKill:        0,
		specs.ActKillThread:  0,
		specs.ActKillProcess: 0x80000000,
		specs.ActTrap:        0x00030000,
		specs.ActErrno:       0x00050000,
		specs.ActTrace:       0x7ff00000,
		specs.ActNotify:      0x7fc00000,
		specs.ActLog:         0x7ffc0000,
		specs.ActAllow:       0x7fff0000,
	}
)

func refMultiplexed(name string) (through int32, fn uint32) {
	if fn := refSockets[name]; fn > 0 {
		return 102, fn
	}
	return 117, refIPC[name]
}

func refVerdict(a specs.LinuxSeccompAction, errno *uint) uint32 {
	ret := refVerdicts[a]
	if a == specs.ActErrno || a == specs.ActTrace {
		if errno == nil {
			return ret | 1
		}
		ret |= uint32(*errno)
	}
	return ret
}

// source makes decisions, from chance or from a fuzzer's bytes.
type source interface{ IntN(n int) int }

func pick[T any](s source, from ...T) T { return from[s.IntN(len(from))] }

// names that make trouble: aliases, multiplexed, private, first and last ones.
var names = []string{
	"read", "write", "open", "close", "ioctl", "socket", "socketcall", "connect", "accept", "send", "ipc", "shmget",
	"semop", "clone", "clone3", "personality", "sync_file_range2", "arm_sync_file_range", "cacheflush", "set_tls",
	"io_setup", "restart_syscall", "rseq_slice_yield", "mseal", "nonesuch", "umount", "umount2", "uretprobe",
}

var values = []uint64{
	0, 1, 2, 3, 5, 10, 38, 0x5412, 0x7e020000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xfffffffe, 0xffffffff,
	1 << 32, 1<<32 | 1, 1<<32 | 5, 5 << 32, 1 << 63, 0xffffffff00000000, 0xffffffffffffffff,
}

func number(s source) uint64 { return pick(s, values...) + uint64(s.IntN(3)) - 1 }

// profile makes a valid profile of fewer than limit rules.
func profile(s source, goarch string, limit int) *specs.LinuxSeccomp {
	p := &specs.LinuxSeccomp{
		DefaultAction: pick(s, specs.ActErrno, specs.ActErrno, specs.ActAllow, specs.ActKillProcess, specs.ActLog, specs.ActTrap),
		ListenerPath:  "/run/listener",
	}
	p.DefaultErrnoRet = errnoFor(s, p.DefaultAction)
	for _, b := range map[string][]abi{"amd64": {amd64, i386, x32}, "arm64": {arm64, arm}}[goarch] {
		if s.IntN(4) > 0 {
			p.Architectures = append(p.Architectures, abiNames[b])
		}
	}
	for range s.IntN(limit) {
		r := specs.LinuxSyscall{
			Names:  []string{name(s)},
			Action: pick(s, specs.ActAllow, specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActTrace, specs.ActLog),
		}
		r.ErrnoRet = errnoFor(s, r.Action)
		for range s.IntN(6) {
			r.Names = append(r.Names, name(s))
		}
		for range max(s.IntN(5)-1, 0) {
			r.Args = append(r.Args, specs.LinuxSeccompArg{
				Index: uint(s.IntN(6)), Value: number(s), ValueTwo: number(s),
				Op: pick(s, specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual,
					specs.OpGreaterThan, specs.OpGreaterEqual, specs.OpMaskedEqual),
			})
			if a := &r.Args[len(r.Args)-1]; a.Op == specs.OpMaskedEqual && s.IntN(4) > 0 {
				a.ValueTwo &= a.Value
			}
		}
		p.Syscalls = append(p.Syscalls, r)
	}
	return p
}

func name(s source) string {
	if s.IntN(3) == 0 {
		return syscalls[s.IntN(len(syscalls))].name
	}
	return pick(s, names...)
}

func errnoFor(s source, a specs.LinuxSeccompAction) *uint {
	if a != specs.ActErrno && a != specs.ActTrace || s.IntN(2) == 0 {
		return nil
	}
	e := pick(s, uint(0), 1, 13, 38, 4095)
	return &e
}

// aCall makes a call that p probably has an opinion about.
func aCall(s source, p *specs.LinuxSeccomp, goarch string) Data {
	d := Data{IP: number(s)}
	d.Arch = pick(s, map[string][]uint32{
		"amd64": {0xc000003e, 0xc000003e, 0x40000003},
		"arm64": {0xc00000b7, 0x40000028},
	}[goarch]...)
	if s.IntN(50) == 0 {
		d.Arch = pick(s, auditArch[arm], auditArch[amd64], 0, 0xc0000016)
	}
	d.Nr = int32(s.IntN(600))
	if len(p.Syscalls) > 0 && s.IntN(8) > 0 {
		r := pick(s, p.Syscalls...)
		d.Nr = refNumber(pick(s, r.Names...), abi(s.IntN(int(abis)))) + pick(s, int32(0), 0, 0, 1, -1)
	}
	if s.IntN(30) == 0 {
		d.Nr = pick(s, int32(-1), -2, 102, 117, 0x40000000, 0x3fffffff, 0x7fffffff, -1<<31, 0xf0000, 0xf0005, 0xeffff)
	}
	for i := range d.Args {
		d.Args[i] = number(s)
		if s.IntN(3) == 0 {
			d.Args[i] = uint64(s.IntN(30))
		}
	}
	return d
}

func agree(t *testing.T, s source, goarch string, rules, calls int) {
	t.Helper()
	p := profile(s, goarch, rules)
	f, err := Compile(p, goarch)
	if errors.Is(err, fault.TooLarge) && rules > 100 {
		return
	}
	if err != nil {
		t.Fatalf("Compile: %v", err)
	}
	checkProgram(t, f.Prog)
	for range calls {
		d := aCall(s, p, goarch)
		got, err := Simulate(f.Prog, d)
		if err != nil {
			t.Fatalf("Simulate: %v", err)
		}
		if want := reference(p, goarch, d); got != want {
			text, _ := json.Marshal(p)
			t.Fatalf("%+v\nis %s, want %s\n%s", d, Verdict(got), Verdict(want), text)
		}
	}
}

func TestCompileAgreesWithReference(t *testing.T) {
	for _, goarch := range []string{"amd64", "arm64"} {
		t.Run(goarch, func(t *testing.T) {
			for seed := range uint64(1500) {
				agree(t, rand.New(rand.NewPCG(seed, 1)), goarch, 12, 60)
			}
			for seed := range uint64(40) { // jumps of more than 255
				agree(t, rand.New(rand.NewPCG(seed, 2)), goarch, 180, 300)
			}
		})
	}
}

func TestDefaultAgreesWithReference(t *testing.T) {
	for _, goarch := range []string{"amd64", "arm64"} {
		for _, caps := range [][]string{nil, {"CAP_SYS_ADMIN", "CAP_SYS_NICE"}} {
			p := Default(Host{Arch: goarch, Caps: caps, Kernel: [2]int{6, 18}})
			f, err := Compile(p, goarch)
			if err != nil {
				t.Fatal(err)
			}
			s := rand.New(rand.NewPCG(2, 3))
			for range 3000 {
				d := aCall(s, p, goarch)
				got, err := Simulate(f.Prog, d)
				if want := reference(p, goarch, d); err != nil || got != want {
					t.Fatalf("%+v is %s, want %s, %v", d, Verdict(got), Verdict(want), err)
				}
			}
		}
	}
}

// bytesSource takes decisions from a fuzzer; zero when the bytes are used up.
type bytesSource struct{ b []byte }

func (s *bytesSource) IntN(n int) int {
	v := 0
	for m := n; m > 1 && len(s.b) > 0; m >>= 8 {
		v = v<<8 | int(s.b[0])
		s.b = s.b[1:]
	}
	return v % n
}

func FuzzCompile(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
	f.Add([]byte("the quick brown fox jumps over the lazy dog and back again, twice, and then some more"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 0 {
			agree(t, &bytesSource{b[1:]}, []string{"amd64", "arm64"}[b[0]%2], 30, 8)
		}
	})
}
