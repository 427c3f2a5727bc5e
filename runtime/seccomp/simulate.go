package seccomp

import "github.com/berth-engine/berth/internal/fault"

// Simulate runs prog as the kernel would and returns its verdict, a
// SECCOMP_RET_ value. It is an error when the kernel would not take prog or
// when prog leaves its own text. It knows the instructions that Compile and
// libseccomp write.
func Simulate(prog []Insn, d Data) (action uint32, err error) {
	if len(prog) == 0 || len(prog) > maxInsns {
		return 0, fault.New(fault.Invalid, "seccomp.simulate: %d instructions, must be 1 to %d", len(prog), maxInsns)
	}
	acc := uint32(0)
	for pc := uint64(0); pc < uint64(len(prog)); pc++ {
		switch in := prog[pc]; in.Code {
		case opLoad:
			if acc, err = d.word(in.K); err != nil {
				return 0, fault.New(fault.Invalid, "seccomp.simulate: instruction %d: %w", pc, err)
			}
		case opAnd:
			acc &= in.K
		case opRet:
			return in.K, nil
		case opJump:
			pc += uint64(in.K)
		case opJeq, opJgt, opJge, opJset:
			if in.holds(acc) {
				pc += uint64(in.Jt)
			} else {
				pc += uint64(in.Jf)
			}
		default:
			return 0, fault.New(fault.Invalid, "seccomp.simulate: instruction %d: unknown code %#x", pc, in.Code)
		}
	}
	return 0, fault.New(fault.Invalid, "seccomp.simulate: the program ends without a verdict")
}

// holds evaluates a conditional jump.
func (in Insn) holds(acc uint32) bool {
	switch in.Code {
	case opJeq:
		return acc == in.K
	case opJgt:
		return acc > in.K
	case opJge:
		return acc >= in.K
	default:
		return acc&in.K != 0
	}
}

// word reads 32 bits at an offset of the kernel's struct.
func (d Data) word(off uint32) (uint32, error) {
	switch {
	case off%4 != 0 || off >= offArgs+8*(maxArg+1):
		return 0, fault.New(fault.Invalid, "load at offset %d", off)
	case off == offNr:
		return uint32(d.Nr), nil
	case off == offArch:
		return d.Arch, nil
	case off < offArgs:
		return half(d.IP, off), nil
	}
	return half(d.Args[(off-offArgs)/8], off), nil
}

// half returns the low word at offsets that are multiples of 8, else the high.
func half(v uint64, off uint32) uint32 {
	if off%8 == 0 {
		return uint32(v)
	}
	return uint32(v >> 32)
}
