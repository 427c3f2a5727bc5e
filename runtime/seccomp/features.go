package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// Features says what Compile understands, in the form of section "Features" of
// the specification. The kernel's part is for the caller to find out: supports
// is asked about SECCOMP_FILTER_FLAG_ bits for seccomp(2).
func Features(supports func(bits uint32) bool) *features.Seccomp {
	yes := true
	f := &features.Seccomp{
		Enabled:   &yes,
		Actions:   words(actions[:]),
		Operators: words(operators[:]),
		Archs:     words(architectures[:]),
	}
	for _, known := range flags {
		f.KnownFlags = append(f.KnownFlags, string(known.name))
		if known.bits == 0 || supports(known.bits|known.with) {
			f.SupportedFlags = append(f.SupportedFlags, string(known.name))
		}
	}
	return f
}

func words[T ~string](list []T) []string {
	out := make([]string, 0, len(list))
	for _, w := range list {
		out = append(out, string(w))
	}
	slices.Sort(out)
	return out
}

var actions = [...]specs.LinuxSeccompAction{
	specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActKillProcess, specs.ActKillThread,
	specs.ActLog, specs.ActNotify, specs.ActTrace, specs.ActTrap,
}

var operators = [...]specs.LinuxSeccompOperator{
	specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo,
	specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual,
}

// architectures are those of the specification. One that a machine cannot run
// is right in a profile and never met.
var architectures = [...]specs.Arch{
	specs.ArchX86, specs.ArchX86_64, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64,
	specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32,
	specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32,
	specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X,
	specs.ArchPARISC, specs.ArchPARISC64, specs.ArchRISCV64, specs.ArchLOONGARCH64,
	specs.ArchM68K, specs.ArchSH, specs.ArchSHEB,
}

// A flag is one that a profile may list.
type flag struct {
	name specs.LinuxSeccompFlag
	bits uint32
	with uint32 // what the kernel wants beside it
}

var flags = [...]flag{
	{name: "SECCOMP_FILTER_FLAG_TSYNC"}, // no bits: a container starts with one thread
	{name: specs.LinuxSeccompFlagLog, bits: flagLog},
	{name: specs.LinuxSeccompFlagSpecAllow, bits: flagSpecAllow},
	{name: specs.LinuxSeccompFlagWaitKillableRecv, bits: flagWaitKillable, with: flagNewListener},
}
