package seccomp

import (
	"errors"
	"slices"
	"testing"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestCompileOfRepetition: to say the same very often does not change the
// program, and leaves nothing behind that grows with it.
func TestCompileOfRepetition(t *testing.T) {
	names := []string{"read", "write", "openat", "socket", "exit_group"}
	once := rules(specs.ActErrno, on(specs.ActAllow, nil, names...), on(specs.ActErrno, nil, "mseal"))
	often := rules(specs.ActErrno, on(specs.ActAllow, nil, slices.Repeat(names, 40_000)...), on(specs.ActErrno, nil, slices.Repeat([]string{"mseal"}, 40_000)...))
	for range 10_000 {
		often.Syscalls = append(often.Syscalls, on(specs.ActKill, nil, "read"), on(specs.ActErrno, nil, "write"))
	}
	for _, p := range []*specs.LinuxSeccomp{once, often} {
		p.Architectures = machineArchs["amd64"]
	}
	want, err := Compile(once, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Compile(often, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Prog, want.Prog) {
		t.Errorf("%d instructions, want the same %d", len(got.Prog), len(want.Prog))
	}
	q, err := resolve(often, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(q.uses) != len(names)+1 {
		t.Errorf("%d uses, want %d", len(q.uses), len(names)+1)
	}
}

// TestCompileOfTooMuch: what no kernel takes is an error, in each shape.
func TestCompileOfTooMuch(t *testing.T) {
	var six []specs.LinuxSeccompArg
	for i := range uint(6) {
		six = append(six, arg(i, operators[i], 1<<33+5))
	}
	deep, wide, single := rules(specs.ActErrno), rules(specs.ActErrno), rules(specs.ActErrno)
	for i := range 4000 {
		errno := uint(i)
		six[0].Value = uint64(i) << 32
		deep.Syscalls = append(deep.Syscalls, onErrno(errno, slices.Clone(six), "read"))
		wide.Syscalls = append(wide.Syscalls, onErrno(errno, args(arg(0, specs.OpEqualTo, uint64(i))), syscalls[i%len(syscalls)].name))
	}
	all := make([]string, 0, len(syscalls))
	for i := range syscalls {
		all = append(all, syscalls[i].name)
	}
	single.Syscalls = append(single.Syscalls, on(specs.ActAllow, six, slices.Repeat(all, 10)...))
	for name, p := range map[string]*specs.LinuxSeccomp{"deep": deep, "wide": wide, "one rule": single} {
		p.Architectures = machineArchs["amd64"]
		if _, err := Compile(p, "amd64"); !errors.Is(err, fault.TooLarge) {
			t.Errorf("%s: %v, want TooLarge", name, err)
		}
	}
}
