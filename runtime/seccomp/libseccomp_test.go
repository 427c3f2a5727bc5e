package seccomp

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/berth-engine/berth/test/libseccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// A difference is a kind of call about which we and libseccomp disagree on
// purpose. Our answer is then still the one of reference.
type difference struct {
	name    string
	because string
	among   func(c *comparison, b abi, d Data) bool
	fades   bool // newer versions of the library may agree
}

var differences = []difference{
	{
		"foreign ABI", "libseccomp kills the thread alone; what remains of such a process is of no use",
		func(c *comparison, b abi, d Data) bool { return b < 0 },
		false,
	},
	{
		"skipped call", "a tracer sets -1 to skip a call; it is no call that a rule could mean",
		func(c *comparison, b abi, d Data) bool { return d.Nr == -1 },
		false,
	},
	{
		"newer calls", "runc answers them with ENOSYS by a piece that it puts in front of libseccomp's filter",
		func(c *comparison, b abi, d Data) bool { return c.ours == retErrno|eNoSys && c.theirs == c.def },
		false,
	},
	{
		"high words of x32", "libseccomp looks at 32 bits of an argument of x32, the kernel uses all 64",
		func(c *comparison, b abi, d Data) bool { return b == x32 && len(c.conds(b, d)) > 0 },
		false,
	},
	{
		"conditions and socketcall", "libseccomp allows socketcall and ipc where a rule allows such calls on conditions, which nobody checks there",
		func(c *comparison, b abi, d Data) bool { return b == i386 && (d.Nr == socketcall || d.Nr == ipc) },
		false,
	},
	{
		"overlapping rules", "libseccomp takes them in an order of its own, we in the profile's",
		func(c *comparison, b abi, d Data) bool { return c.overlaps(b, d) },
		false,
	},
	{
		"calls younger than the library", "libseccomp skips names that it does not know, and then they are not the newest that a profile names",
		func(c *comparison, b abi, d Data) bool {
			return c.unknown[refName(b, d.Nr)] || c.theirs == retErrno|eNoSys && c.youngest(b) > d.Nr
		},
		true,
	},
	{
		"the library's tables", "that of 2.5.4 has a wrong number for one call of x32 and none for one of arm",
		func(c *comparison, b abi, d Data) bool {
			return b == x32 && refName(b, d.Nr) == "map_shadow_stack" || b == arm && refName(b, d.Nr) == "arm_sync_file_range"
		},
		true,
	},
}

// A comparison is that of two filters for one profile.
type comparison struct {
	sample
	ourProg, theirProg []Insn
	def                uint32
	unknown            map[string]bool // to libseccomp
	ours, theirs       uint32          // about the present call
	seen               map[string]int  // how often each difference was met
}

func compare(t *testing.T, l *libseccomp.Library, s sample) *comparison {
	t.Helper()
	f, err := Compile(s.LinuxSeccomp, s.arch)
	if err != nil {
		t.Fatalf("%v\n%s", err, s)
	}
	checkProgram(t, f.Prog)
	theirs, unknown, err := l.Filter(s.LinuxSeccomp, libseccomp.Options{Machine: s.arch})
	if err != nil {
		t.Fatalf("%v\n%s", err, s)
	}
	c := &comparison{
		sample: s, ourProg: f.Prog, def: refVerdict(s.DefaultAction, s.DefaultErrnoRet),
		unknown: map[string]bool{}, seen: map[string]int{},
	}
	for _, in := range theirs {
		c.theirProg = append(c.theirProg, Insn(in))
	}
	for _, name := range unknown {
		c.unknown[name] = true
	}
	return c
}

// about fails the test when the filters disagree about d, unless that is on
// the list and we say what the reference says.
func (c *comparison) about(t *testing.T, d Data) {
	t.Helper()
	var err1, err2 error
	c.ours, err1 = Simulate(c.ourProg, d)
	c.theirs, err2 = Simulate(c.theirProg, d)
	if err1 != nil || err2 != nil {
		t.Fatalf("%+v: %v, %v\n%s", d, err1, err2, c)
	}
	if c.ours == c.theirs {
		return
	}
	want := reference(c.LinuxSeccomp, c.arch, d)
	b, ok := refABI(c.LinuxSeccomp, c.arch, d)
	if !ok {
		b = -1
	}
	i := slices.IndexFunc(differences, func(x difference) bool { return x.among(c, b, d) })
	if i < 0 || c.ours != want {
		t.Fatalf("%+v\nis %s, with libseccomp %s, must be %s\n%s", d, Verdict(c.ours), Verdict(c.theirs), Verdict(want), c)
	}
	c.seen[differences[i].name]++
}

// conds are the conditional rules for a call.
func (c *comparison) conds(b abi, d Data) (out []specs.LinuxSyscall) {
	for _, r := range c.Syscalls {
		for _, n := range r.Names {
			if len(r.Args) > 0 && refNumber(n, b) == d.Nr {
				out = append(out, r)
			}
		}
	}
	return out
}

// youngest is the last number of a name that libseccomp does not know.
func (c *comparison) youngest(b abi) int32 {
	nr := int32(-1)
	for name := range c.unknown {
		nr = max(nr, refNumber(name, b))
	}
	return nr
}

// overlaps reports whether rules with different actions hold for a call.
func (c *comparison) overlaps(b abi, d Data) bool {
	verdicts := map[uint32]bool{}
	for _, r := range c.conds(b, d) {
		if refHolds(r.Args, b, d) {
			verdicts[refVerdict(r.Action, r.ErrnoRet)] = true
		}
	}
	return len(verdicts) > 1
}

// TestCompileAgreesWithLibseccomp compares the two for the corpus.
func TestCompileAgreesWithLibseccomp(t *testing.T) {
	l := library(t)
	samples := corpus(t)
	if len(samples) < 50 {
		t.Errorf("%d profiles, want at least 50", len(samples))
	}
	seen := map[string]int{}
	calls := 0
	for _, s := range samples {
		c := compare(t, l, s)
		for _, d := range boundaries(s) {
			c.about(t, d)
			calls++
		}
		for name, n := range c.seen {
			seen[name] += n
		}
	}
	t.Logf("%d profiles, %d calls, differences: %v", len(samples), calls, seen)
	for _, d := range differences {
		if seen[d.name] == 0 && !d.fades {
			t.Errorf("there is no difference about %q any more (%s)", d.name, d.because)
		}
	}
}

// TestRandomAgreesWithLibseccomp compares the two for random profiles.
func TestRandomAgreesWithLibseccomp(t *testing.T) {
	l := library(t)
	for seed := range uint64(300) {
		s := rand.New(rand.NewPCG(seed, 7))
		p := commonProfile(s)
		c := compare(t, l, sample{fmt.Sprint("seed ", seed), "amd64", p})
		for range 300 {
			c.about(t, aCall(s, p, "amd64"))
		}
	}
}

func library(t *testing.T) *libseccomp.Library {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("names are resolved as on amd64")
	}
	l, err := libseccomp.New(t.TempDir())
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// commonProfile makes a profile on whose meaning both agree: known names, no
// multiplexed ones, and rules with args as commonArgs wants them.
func commonProfile(s source) *specs.LinuxSeccomp {
	p := profile(s, "amd64", 12)
	if p.DefaultAction == specs.ActTrap {
		p.DefaultAction = specs.ActErrno
	}
	p.DefaultErrnoRet = nil // it takes no 4095
	ops := map[string]specs.LinuxSeccompOperator{}
	for i := range p.Syscalls {
		r := &p.Syscalls[i]
		r.ErrnoRet = nil
		for j, n := range r.Names {
			nr := refNumber(n, amd64)
			if nr < 0 || nr == 335 || nr == 336 || nr > 440 || multiplexedName(n) {
				r.Names[j] = pick(s, "read", "write", "open", "close", "clone", "personality", "mmap", "fcntl")
			}
		}
		if len(r.Args) > 0 {
			commonArgs(r, ops)
		}
	}
	return p
}

// commonArgs makes a conditional rule one of which libseccomp 2.5 thinks as the
// specification does: of one name all have the same action, because it orders
// them its own way; and conditions on one argument do not overlap, because it
// loses one of two whose high words differ. ops remembers what was compared.
func commonArgs(r *specs.LinuxSyscall, ops map[string]specs.LinuxSeccompOperator) {
	r.Names = r.Names[:1]
	h := fnv.New32()
	h.Write([]byte(r.Names[0]))
	r.Action = []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActLog}[h.Sum32()%3]
	r.Args = slices.DeleteFunc(r.Args, func(a specs.LinuxSeccompArg) bool {
		key := fmt.Sprint(r.Names[0], a.Index)
		had, again := ops[key]
		ops[key] = cmp.Or(had, a.Op)
		return again && (had != a.Op || a.Op != specs.OpEqualTo && a.Op != specs.OpMaskedEqual)
	})
	for i := range r.Args {
		if a := &r.Args[i]; a.Op == specs.OpMaskedEqual {
			a.Value |= 1 // without a bit in the low word it is no condition on 32 bits
		}
	}
}

func multiplexedName(n string) bool {
	_, fn := refMultiplexed(n)
	return fn > 0
}
