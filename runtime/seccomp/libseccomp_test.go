package seccomp

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestCompileAgreesWithLibseccomp feeds the same rules to libseccomp, in the
// way of runc, and compares what the two filters say.
func TestCompileAgreesWithLibseccomp(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("compares the ABIs of amd64")
	}
	helper := buildHelper(t)
	for seed := range uint64(300) {
		s := rand.New(rand.NewPCG(seed, 7))
		p := commonProfile(s)
		ours, err := Compile(p, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		theirs := libseccomp(t, helper, p)
		for range 300 {
			d := commonCall(s, p)
			got, err := Simulate(ours.Prog, d)
			if err != nil {
				t.Fatal(err)
			}
			want, err := Simulate(theirs, d)
			if err != nil {
				t.Fatal(err)
			}
			if got == retErrno|eNoSys && want == refVerdict(p.DefaultAction, p.DefaultErrnoRet) {
				// runc adds that in front; the reference knows when.
				want = reference(p, "amd64", d)
			}
			if got != want {
				text, _ := json.Marshal(p)
				t.Fatalf("seed %d: %+v\nis %s, with libseccomp %s\n%s", seed, d, Verdict(got), Verdict(want), text)
			}
		}
	}
}

// TestDefaultAgreesWithLibseccomp compares our own profile.
func TestDefaultAgreesWithLibseccomp(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("compares the ABIs of amd64")
	}
	helper := buildHelper(t)
	p := Default(Host{Arch: "amd64", Kernel: [2]int{6, 18}})
	f, err := Compile(p, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	theirs := libseccomp(t, helper, p)
	for nr := range int32(335) { // the library of Debian 12 knows them
		for _, arg := range []uint64{0, 1, 2, 16, 38, 40, 1<<32 | 40, 0x5412, 1<<32 | 0x5412, 0x10000000, 0xffffffff} {
			d := Data{Nr: nr, Arch: auditArch[amd64], Args: [6]uint64{arg, arg}}
			got, err1 := Simulate(f.Prog, d)
			want, err2 := Simulate(theirs, d)
			if err1 != nil || err2 != nil || got != want {
				t.Errorf("%+v is %s, with libseccomp %s, %v %v", d, Verdict(got), Verdict(want), err1, err2)
			}
		}
	}
}

func buildHelper(t *testing.T) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}
	exe := filepath.Join(t.TempDir(), "libseccomp")
	if out, err := exec.Command(cc, "-o", exe, filepath.Join("testdata", "libseccomp.c"), "-lseccomp").CombinedOutput(); err != nil {
		if strings.Contains(string(out), "seccomp.h") || strings.Contains(string(out), "-lseccomp") {
			t.Skip("libseccomp-dev is not installed")
		}
		t.Fatalf("%v\n%s", err, out)
	}
	return exe
}

// libseccomp returns the filter that libseccomp makes for p.
func libseccomp(t *testing.T, helper string, p *specs.LinuxSeccomp) []Insn {
	t.Helper()
	def := refVerdict(p.DefaultAction, p.DefaultErrnoRet)
	var text strings.Builder
	fmt.Fprintf(&text, "default %d\n", def)
	for _, a := range p.Architectures {
		fmt.Fprintf(&text, "arch %s\n", strings.ToLower(strings.TrimPrefix(string(a), "SCMP_ARCH_")))
	}
	for _, r := range p.Syscalls {
		ret := refVerdict(r.Action, r.ErrnoRet)
		if ret == def {
			continue
		}
		for _, name := range r.Names {
			for _, args := range splitArgs(r.Args) {
				fmt.Fprintf(&text, "rule %d %s%s\n", ret, name, args)
			}
		}
	}
	cmd := exec.CommandContext(t.Context(), helper)
	cmd.Stdin = strings.NewReader(text.String())
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("libseccomp: %v: %s\n%s", err, errs.String(), text.String())
	}
	prog := make([]Insn, out.Len()/8)
	if err := binary.Read(&out, binary.LittleEndian, prog); err != nil {
		t.Fatal(err)
	}
	return prog
}

// splitArgs writes conditions as runc hands them over: one by one when two are
// about the same argument.
func splitArgs(args []specs.LinuxSeccompArg) []string {
	ops := []specs.LinuxSeccompOperator{
		1: specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo,
		specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual,
	}
	seen, twice := map[uint]bool{}, false
	var one []string
	for _, a := range args {
		twice = twice || seen[a.Index]
		seen[a.Index] = true
		one = append(one, fmt.Sprintf(" %d %d %d %d", a.Index, slices.Index(ops, a.Op), a.Value, a.ValueTwo))
	}
	if twice {
		return one
	}
	return []string{strings.Join(one, "")}
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
			a.ValueTwo &= a.Value
		}
	}
}

func multiplexedName(n string) bool {
	_, fn := refMultiplexed(n)
	return fn > 0
}

// commonCall makes a call on which both agree: libseccomp looks only at the low
// words of x32's arguments, although the kernel does not.
func commonCall(s source, p *specs.LinuxSeccomp) Data {
	d := aCall(s, p, "amd64")
	if d.Arch == auditArch[amd64] && d.Nr >= x32Bit && slices.Contains(p.Architectures, specs.ArchX32) {
		d.Nr -= x32Bit
	}
	return d
}
