package seccomp

import "slices"

// An assembler writes a program from its end to its start. Classic BPF jumps
// only forward, so every target exists before the jump to it does.
type assembler struct {
	rev  []Insn // last instruction first
	rets []label
}

// A label is an instruction's index in rev.
type label int

// near is the farthest target of a conditional jump; its offsets have 8 bits.
const near = 255

// distance counts the instructions that a jump written now would skip.
func (a *assembler) distance(to label) int { return len(a.rev) - 1 - int(to) }

func (a *assembler) emit(i Insn) label {
	a.rev = append(a.rev, i)
	return label(len(a.rev) - 1)
}

// ret returns a place that gives verdict k, a new one when the last is so far
// that jumps to it would need help.
func (a *assembler) ret(k uint32) label {
	for i, l := range a.rets {
		if a.rev[l].K == k {
			if a.distance(l) > near/2 {
				a.rets[i] = a.emit(Insn{Code: opRet, K: k})
			}
			return a.rets[i]
		}
	}
	l := a.emit(Insn{Code: opRet, K: k})
	a.rets = append(a.rets, l)
	return l
}

// jump continues at t when the test holds, else at f.
func (a *assembler) jump(code uint16, k uint32, t, f label) label {
	if t == f {
		return t
	}
	if code == opJset {
		k, f = a.anyBit(k, t, f)
	}
	t = a.reach(t, near-1) // the next line may push it one further away
	f = a.reach(f, near)
	return a.emit(Insn{Code: code, Jt: uint8(a.distance(t)), Jf: uint8(a.distance(f)), K: k})
}

// anyBit takes the test at f in, if that one also goes to t when a bit is set.
func (a *assembler) anyBit(k uint32, t, f label) (uint32, label) {
	next := a.rev[f]
	if next.Code != opJset || f-1-label(next.Jt) != t {
		return k, f
	}
	return k | next.K, f - 1 - label(next.Jf)
}

// reach returns a place at most limit away that does the same as l.
func (a *assembler) reach(l label, limit int) label {
	if a.distance(l) <= limit {
		return l
	}
	if a.rev[l].Code == opRet {
		return a.emit(a.rev[l])
	}
	return a.emit(Insn{Code: opJump, K: uint32(a.distance(l))})
}

// load puts the word at off into the accumulator.
func (a *assembler) load(off uint32, then label) label {
	if a.distance(then) != 0 {
		a.emit(Insn{Code: opJump, K: uint32(a.distance(then))})
	}
	return a.emit(Insn{Code: opLoad, K: off})
}

// loaded returns l, or the place after it when l loads the word at off: for
// jumps that are made with that word in the accumulator.
func (a *assembler) loaded(l label, off uint32) label {
	if i := a.rev[l]; i.Code == opLoad && i.K == off {
		return l - 1
	}
	return l
}

// program returns the finished program without what nothing reaches.
func (a *assembler) program(start label) []Insn {
	p := slices.Clone(a.rev[:start+1])
	slices.Reverse(p)
	return prune(p)
}

// prune removes unreachable instructions. Jumps only become shorter.
func prune(p []Insn) []Insn {
	live := make([]bool, len(p)+1)
	live[0] = true
	for i, in := range p {
		if live[i] {
			in.mark(live[i+1:])
		}
	}
	index := make([]int, len(p)) // of each instruction in the result
	n := 0
	for i := range p {
		index[i] = n
		if live[i] {
			n++
		}
	}
	out := p[:0]
	for i, in := range p {
		if !live[i] {
			continue
		}
		skip := func(d uint32) uint32 { return uint32(index[i+1+int(d)] - index[i] - 1) }
		switch in.Code {
		case opJump:
			in.K = skip(in.K)
		case opJeq, opJgt, opJge, opJset:
			in.Jt, in.Jf = uint8(skip(uint32(in.Jt))), uint8(skip(uint32(in.Jf)))
		}
		out = append(out, in)
	}
	return out
}

// mark notes where in may continue; after[0] is the next instruction.
func (in Insn) mark(after []bool) {
	switch in.Code {
	case opRet:
	case opJump:
		after[in.K] = true
	case opJeq, opJgt, opJge, opJset:
		after[in.Jt], after[in.Jf] = true, true
	default:
		after[0] = true
	}
}
