package seccomp

import (
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestFeaturesCompile uses everything that is announced.
func TestFeaturesCompile(t *testing.T) {
	f := Features(func(uint32) bool { return true })
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, ListenerPath: "/run/listener"}
	for _, a := range f.Archs {
		p.Architectures = append(p.Architectures, specs.Arch(a))
	}
	for _, name := range f.KnownFlags {
		p.Flags = append(p.Flags, specs.LinuxSeccompFlag(name))
	}
	for i, a := range f.Actions {
		for _, op := range f.Operators {
			p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{
				Names: []string{syscalls[i].name}, Action: specs.LinuxSeccompAction(a), Args: args(arg(0, specs.LinuxSeccompOperator(op), 5)),
			})
		}
	}
	filter, err := Compile(p, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if want := uint32(flagLog | flagSpecAllow | flagNewListener | flagWaitKillable); filter.Flags != want {
		t.Errorf("flags %#x, want %#x", filter.Flags, want)
	}
	if len(f.Actions) != 9 || len(f.Operators) != 7 || len(f.Archs) != 23 || !slices.Equal(f.KnownFlags, f.SupportedFlags) {
		t.Errorf("%d actions, %d operators, %d architectures, flags %v of %v", len(f.Actions), len(f.Operators), len(f.Archs), f.SupportedFlags, f.KnownFlags)
	}
}

// TestFeaturesOfOldKernel: what the kernel lacks is known but not supported.
func TestFeaturesOfOldKernel(t *testing.T) {
	f := Features(func(bits uint32) bool { return bits == flagLog })
	want := []string{"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"}
	if !slices.Equal(f.SupportedFlags, want) || len(f.KnownFlags) != 4 {
		t.Errorf("supported %v of %v, want %v", f.SupportedFlags, f.KnownFlags, want)
	}
}
