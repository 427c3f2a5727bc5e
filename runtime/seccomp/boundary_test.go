package seccomp

import (
	"math/rand/v2"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// boundaries returns calls that decide whether two filters for s are the same:
// every number of every ABI, and for numbers whose rules look at arguments the
// values around those they are compared with.
func boundaries(s sample) []Data {
	var out []Data
	for _, b := range []abi{amd64, i386, x32, arm64, arm} {
		if !slices.Contains(abisOf(s.arch), b) {
			continue
		}
		conds := conditionsByNumber(s.LinuxSeccomp, b)
		for _, nr := range numbers(b) {
			for _, a := range vectors(conds[nr]) {
				out = append(out, Data{Nr: nr, Arch: auditArch[b], IP: 0x7f00_dead_beef, Args: a})
			}
		}
	}
	for _, arch := range []uint32{0, 0xc0000016, 0x40000028, 0xc000003e, 0xc00000b7, 0x40000003, 0xffffffff} {
		out = append(out, Data{Arch: arch, Nr: 1}, Data{Arch: arch, Nr: -1})
	}
	return out
}

func abisOf(goarch string) []abi {
	m, _ := machineOf(goarch)
	return m.abis
}

// numbers are all that a call may have, with some room behind.
func numbers(b abi) []int32 {
	base, last := int32(0), int32(480)
	if b == x32 {
		base, last = x32Bit, 560
	}
	var out []int32
	for nr := range last {
		out = append(out, base+nr)
	}
	if b == arm {
		for nr := range int32(8) {
			out = append(out, armPrivate+nr)
		}
	}
	return append(out, armPrivate-1, x32Bit-1, 1<<31-1, -1<<31, -2, -1)
}

// conditionsByNumber collects the args of the rules for each number.
func conditionsByNumber(p *specs.LinuxSeccomp, b abi) map[int32][][]specs.LinuxSeccompArg {
	out := map[int32][][]specs.LinuxSeccompArg{}
	for _, r := range p.Syscalls {
		for _, name := range r.Names {
			if nr := refNumber(name, b); nr >= 0 && len(r.Args) > 0 {
				out[nr] = append(out[nr], r.Args)
			}
		}
	}
	if b == i386 {
		for _, through := range []int32{socketcall, ipc} {
			for fn := range uint64(26) {
				out[through] = append(out[through], args(arg(0, specs.OpEqualTo, fn)))
			}
		}
	}
	return out
}

// vectors returns arguments around the values that conds compare with: for
// each rule its conditions met, and from there one argument changed.
func vectors(conds [][]specs.LinuxSeccompArg) [][6]uint64 {
	out := [][6]uint64{{}, {1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1}}
	var around [6][]uint64
	for _, c := range slices.Concat(conds...) {
		around[c.Index] = append(around[c.Index], edges(c)...)
	}
	for _, rule := range conds {
		var met [6]uint64
		for _, c := range rule {
			met[c.Index] = meets(c)
		}
		out = append(out, met)
		for i := range around {
			for _, v := range around[i] {
				near := met
				near[i] = v
				out = append(out, near)
			}
		}
	}
	s := rand.New(rand.NewPCG(uint64(len(conds)), 5))
	for range 20 * len(conds) { // several rules met at once
		var a [6]uint64
		for i := range a {
			if len(around[i]) > 0 {
				a[i] = pick(s, around[i]...)
			}
		}
		out = append(out, a)
	}
	return distinct(out)
}

func distinct(in [][6]uint64) [][6]uint64 {
	seen := map[[6]uint64]bool{}
	return slices.DeleteFunc(in, func(a [6]uint64) bool {
		had := seen[a]
		seen[a] = true
		return had
	})
}

// edges are values on both sides of what c compares with.
func edges(c specs.LinuxSeccompArg) []uint64 {
	v := c.Value
	out := []uint64{0, v - 1, v, v + 1, v ^ 1<<32, v ^ 1<<63, uint64(uint32(v)), v &^ 0xffffffff, ^v, v - 1<<32, v + 1<<32}
	if c.Op == specs.OpMaskedEqual {
		w := c.ValueTwo
		out = append(out, w, w|^v, w^(v&-v), (w|^v)^(v&-v), w^(1<<63&v), w^1<<31, w^1)
	}
	return out
}

// meets returns a value for which c holds, if there is one.
func meets(c specs.LinuxSeccompArg) uint64 {
	switch c.Op {
	case specs.OpNotEqual, specs.OpGreaterThan:
		return c.Value + 1
	case specs.OpLessThan:
		return c.Value - 1
	case specs.OpMaskedEqual:
		return c.ValueTwo
	}
	return c.Value
}
