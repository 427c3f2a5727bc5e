package cgroup

import (
	"math"

	"github.com/berth-engine/berth/internal/fault"
)

// The parts of an instruction's code, bpf instruction-set.rst sections 3 to 5.
const (
	classMask  = 0x07
	classLdx   = 0x01
	classAlu   = 0x04
	classJmp   = 0x05
	classJmp32 = 0x06
	classAlu64 = 0x07
	fromReg    = 0x08
	opMask     = 0xf0
	sizeMask   = 0x18
	sizeWord   = 0x00
	sizeHalf   = 0x08
)

// value is what a register holds. One that is a device's number is marked, as
// 1 for the major and 2 for the minor: it may be copied and compared only.
type value struct {
	v    uint64
	mark int
}

// interpret runs a device filter. ctx is struct bpf_cgroup_dev_ctx. Every
// constant that a number is compared with is added to known. What it does not
// know it refuses: a wrong answer would be worse.
func interpret(prog []insn, ctx [3]uint32, known [2]map[uint32]bool) (bool, error) {
	var reg [16]value
	for pc, steps := 0, 0; pc >= 0 && pc < len(prog); pc++ {
		if steps++; steps > 2*len(prog) {
			break // a loop
		}
		in := prog[pc]
		switch in.code & classMask {
		case classLdx:
			v, ok := load32(in, ctx)
			if !ok || in.src != rContext {
				return false, strange(in)
			}
			reg[in.dst] = v
		case classAlu, classAlu64:
			if !compute(in, &reg) {
				return false, strange(in)
			}
		case classJmp, classJmp32:
			if in.code == exitOp {
				return uint32(reg[rVerdict].v) != 0, nil
			}
			taken, ok := compare(in, &reg, known)
			if !ok {
				return false, strange(in)
			}
			if taken {
				pc += int(in.off)
			}
		default:
			return false, strange(in)
		}
	}
	return false, fault.New(fault.Unsupported, "the device filter has no end")
}

func strange(in insn) error {
	return fault.New(fault.Unsupported, "the device filter does something that no list of devices needs (instruction %#x)", in.code)
}

// load32 reads a field of the context.
func load32(in insn, ctx [3]uint32) (value, bool) {
	switch size := in.code & sizeMask; {
	case size == sizeWord && in.off == 0:
		return value{v: uint64(ctx[0])}, true
	case size == sizeWord && in.off == 4:
		return value{uint64(ctx[1]), 1}, true
	case size == sizeWord && in.off == 8:
		return value{uint64(ctx[2]), 2}, true
	case size == sizeHalf && (in.off == 0 || in.off == 2): // little-endian, as what we run on
		return value{v: uint64(ctx[0] >> (8 * in.off) & 0xffff)}, true
	}
	return value{}, false
}

// operand is the second one of an instruction.
func operand(in insn, reg *[16]value) value {
	if in.code&fromReg != 0 {
		return reg[in.src]
	}
	return value{v: uint64(int64(in.imm))}
}

func compute(in insn, reg *[16]value) bool {
	dst, src := &reg[in.dst], operand(in, reg)
	const mov = 0xb0
	op := in.code & opMask
	if op == mov {
		if in.code&fromReg != 0 && in.off != 0 {
			return false // sign-extending
		}
		*dst = src
	} else {
		if dst.mark|src.mark != 0 {
			return false
		}
		a, b := dst.v, src.v
		switch op {
		case 0x00:
			a += b
		case 0x10:
			a -= b
		case 0x40:
			a |= b
		case 0x50:
			a &= b
		case 0x60:
			a <<= b & 63
		case 0x70:
			if in.code&classMask == classAlu {
				a = uint64(uint32(a))
			}
			a >>= b & 63
		case 0xa0:
			a ^= b
		default:
			return false
		}
		dst.v = a
	}
	if in.code&classMask == classAlu {
		dst.v = uint64(uint32(dst.v))
	}
	return true
}

func compare(in insn, reg *[16]value, known [2]map[uint32]bool) (taken, ok bool) {
	const (
		always = 0x00
		equal  = 0x10
		anyOf  = 0x40
		differ = 0x50
	)
	op := in.code & opMask
	if op == always {
		return true, in.code == jmp
	}
	a, b := reg[in.dst], operand(in, reg)
	if in.code&classMask == classJmp32 {
		a.v, b.v = uint64(uint32(a.v)), uint64(uint32(b.v))
	}
	if b.mark != 0 {
		return false, false
	}
	if a.mark != 0 {
		if op == anyOf {
			return false, false
		}
		if b.v <= math.MaxUint32 {
			known[a.mark-1][uint32(b.v)] = true
		}
	}
	switch op {
	case equal:
		return a.v == b.v, true
	case differ:
		return a.v != b.v, true
	case anyOf:
		return a.v&b.v != 0, true
	}
	return false, false
}
