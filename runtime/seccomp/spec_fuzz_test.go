package seccomp

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// FuzzSpec takes profiles as they stand in config.json.
func FuzzSpec(f *testing.F) {
	for _, s := range corpus(f) {
		text, err := json.Marshal(s.LinuxSeccomp)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var p specs.LinuxSeccomp
		if json.Unmarshal(text, &p) != nil {
			return
		}
		for goarch := range machineArchs {
			filter, err := Compile(&p, goarch)
			if err != nil {
				if !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.TooLarge) {
					t.Fatalf("%v is of class %v", err, fault.KindOf(err))
				}
				continue
			}
			checkProgram(t, filter.Prog)
			b := abisOf(goarch)[0]
			for _, nr := range numbers(b) {
				d := Data{Nr: nr, Arch: auditArch[b], Args: [6]uint64{uint64(nr)}}
				got, err := Simulate(filter.Prog, d)
				if want := reference(&p, goarch, d); err != nil || got != want {
					t.Fatalf("%+v is %s, want %s, %v", d, Verdict(got), Verdict(want), err)
				}
			}
		}
	})
}

// checkProgram demands what the kernel does of a program: known instructions,
// jumps that stay inside, a verdict at the end. And that all of it is reached.
func checkProgram(t *testing.T, prog []Insn) {
	t.Helper()
	if len(prog) == 0 || len(prog) > maxInsns || prog[len(prog)-1].Code != opRet {
		t.Fatalf("%d instructions, or no verdict at the end", len(prog))
	}
	reached := make([]bool, len(prog))
	reached[0] = true
	for i, in := range prog {
		if !reached[i] {
			t.Fatalf("nothing leads to instruction %d of %d", i, len(prog))
		}
		var next []int
		switch in.Code {
		case opRet:
		case opLoad, opAnd:
			next = []int{i + 1}
		case opJump:
			next = []int{i + 1 + int(in.K)}
		case opJeq, opJgt, opJge, opJset:
			next = []int{i + 1 + int(in.Jt), i + 1 + int(in.Jf)}
		default:
			t.Fatalf("instruction %d has code %#x", i, in.Code)
		}
		for _, n := range next {
			if n >= len(prog) {
				t.Fatalf("instruction %d leads to %d of %d", i, n, len(prog))
			}
			reached[n] = true
		}
	}
}
