package cgroup

// insn is struct bpf_insn with its fields apart.
type insn struct {
	code     uint8
	dst, src uint8
	off      int16
	imm      int32
}

// The few instructions that the filter needs; see the kernel's
// Documentation/bpf/standardization/instruction-set.rst.
const (
	ldxW    = 0x61 // dst = *(u32 *)(src + off)
	movImm  = 0xb7 // dst = imm
	mov32   = 0xbc // dst = (u32)src
	and32   = 0x54 // dst &= imm
	rsh32   = 0x74 // dst >>= imm
	jmp     = 0x05 // pc += off
	jeq32   = 0x16 // if (u32)dst == imm: pc += off
	jne32   = 0x56
	jset32  = 0x46 // if (u32)dst & imm
	exitOp  = 0x95 // return r0
	deviceB = 1    // BPF_DEVCG_DEV_BLOCK
	deviceC = 2    // BPF_DEVCG_DEV_CHAR
)

// The registers: the kernel gives the context in r1.
const (
	rVerdict = 0
	rContext = 1
	rType    = 2
	rAccess  = 3
	rMajor   = 4
	rMinor   = 5
)

// filter compiles rules to a program of type BPF_PROG_TYPE_CGROUP_DEVICE.
//
//	struct bpf_cgroup_dev_ctx { u32 access_type /* access<<16 | type */; u32 major; u32 minor; }
//
// The last rule that speaks of an access decides it, so the program asks the
// rules from the last to the first. An access may have several parts (open for
// reading and writing); each rule that allows some takes them off r3, one that
// denies any that is left ends it. It is allowed when nothing is left.
func filter(rules []Rule) []insn {
	prog := []insn{
		{code: ldxW, dst: rType, src: rContext, off: 0},
		{code: mov32, dst: rAccess, src: rType},
		{code: rsh32, dst: rAccess, imm: 16},
		{code: and32, dst: rType, imm: 0xffff},
		{code: ldxW, dst: rMajor, src: rContext, off: 4},
		{code: ldxW, dst: rMinor, src: rContext, off: 8},
	}
	rules = effective(rules)
	for i := len(rules) - 1; i >= 0; i-- {
		if rules[i].all() {
			return append(prog, verdict(rules[i].Allow)...)
		}
		prog = append(prog, rules[i].code()...)
	}
	return append(prog, verdict(false)...)
}

func verdict(allow bool) []insn {
	v := insn{code: movImm, dst: rVerdict}
	if allow {
		v.imm = 1
	}
	return []insn{v, {code: exitOp}}
}

// code is the block of one rule: tests that jump behind the block, then what
// the rule does.
func (r Rule) code() []insn {
	var tests []insn
	switch r.Type {
	case 'b':
		tests = append(tests, insn{code: jne32, dst: rType, imm: deviceB})
	case 'c':
		tests = append(tests, insn{code: jne32, dst: rType, imm: deviceC})
	}
	if r.Major >= 0 {
		tests = append(tests, insn{code: jne32, dst: rMajor, imm: int32(uint32(r.Major))})
	}
	if r.Minor >= 0 {
		tests = append(tests, insn{code: jne32, dst: rMinor, imm: int32(uint32(r.Minor))})
	}
	var do []insn
	switch {
	case r.Access == allAccess:
		// Whatever is left is decided: no arithmetic needed.
	case r.Allow:
		do = []insn{
			{code: and32, dst: rAccess, imm: int32(^r.Access & allAccess)},
			{code: jne32, dst: rAccess, imm: 0, off: 2},
		}
	default:
		do = []insn{
			{code: jset32, dst: rAccess, imm: int32(r.Access), off: 1},
			{code: jmp, off: 2},
		}
	}
	block := append(tests, append(do, verdict(r.Allow)...)...)
	for i := range tests {
		block[i].off = int16(len(block) - i - 1)
	}
	return block
}
