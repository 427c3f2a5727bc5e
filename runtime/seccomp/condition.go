package seccomp

import "github.com/opencontainers/runtime-spec/specs-go"

// condition continues at t when c holds, else at f. The accumulator is free.
func (a *assembler) condition(c specs.LinuxSeccompArg, wide bool, t, f label) label {
	w := argument{a, offArgs + 8*uint32(c.Index), wide}
	switch c.Op {
	case specs.OpEqualTo:
		return w.equal(c.Value, t, f)
	case specs.OpNotEqual:
		return w.equal(c.Value, f, t)
	case specs.OpGreaterThan:
		return w.above(opJgt, c.Value, t, f)
	case specs.OpGreaterEqual:
		return w.above(opJge, c.Value, t, f)
	case specs.OpLessEqual:
		return w.above(opJgt, c.Value, f, t)
	case specs.OpLessThan:
		return w.above(opJge, c.Value, f, t)
	default: // resolve lets only MASKED_EQ through; Value is the mask
		return w.masked(c.Value, c.ValueTwo, t, f)
	}
}

// An argument is compared as two 32-bit words; on a 32-bit ABI only the low
// word exists and values are cut to it, so that -1 written in 64 bits works.
type argument struct {
	*assembler
	low  uint32 // offset of the low word, the high one follows
	wide bool
}

func (w argument) high() uint32 { return w.low + 4 }

// test loads a word and compares it once.
func (w argument) test(off uint32, code uint16, k uint32, t, f label) label {
	j := w.jump(code, k, w.loaded(t, off), w.loaded(f, off))
	return w.load(off, j)
}

func (w argument) equal(v uint64, t, f label) label {
	l := w.test(w.low, opJeq, uint32(v), t, f)
	if !w.wide {
		return l
	}
	return w.test(w.high(), opJeq, uint32(v>>32), l, f)
}

// above tests > or >=, as code says: the high word decides unless it is equal.
func (w argument) above(code uint16, v uint64, t, f label) label {
	l := w.test(w.low, code, uint32(v), t, f)
	if !w.wide {
		return l
	}
	high := uint32(v >> 32)
	if high == 0 { // above 0 is not 0
		return w.test(w.high(), opJeq, 0, l, t)
	}
	same := w.test(w.high(), opJeq, high, l, f)
	return w.test(w.high(), opJgt, high, t, same)
}

// masked compares the bits of the mask and no others, seccomp_rule_add(3): also
// v is masked.
func (w argument) masked(mask, v uint64, t, f label) label {
	if !w.wide {
		mask = uint64(uint32(mask))
	}
	v &= mask
	l := w.maskedWord(w.low, uint32(mask), uint32(v), t, f)
	return w.maskedWord(w.high(), uint32(mask>>32), uint32(v>>32), l, f)
}

// maskedWord prefers tests that leave the word in the accumulator: the next
// rule mostly asks for the same one.
func (w argument) maskedWord(off, mask, v uint32, t, f label) label {
	rest := ^mask
	switch {
	case mask == 0 || t == f:
		return t
	case v == 0:
		return w.test(off, opJset, mask, f, t)
	case mask&(mask-1) == 0:
		return w.test(off, opJset, mask, t, f)
	case rest == 0:
		return w.test(off, opJeq, v, t, f)
	case rest&(rest+1) == 0: // ones, then zeros: a range
		l := w.test(off, opJgt, v|rest, f, t)
		return w.test(off, opJge, v, l, f)
	}
	w.jump(opJeq, v, t, f)
	w.emit(Insn{Code: opAnd, K: mask})
	return w.emit(Insn{Code: opLoad, K: off})
}
