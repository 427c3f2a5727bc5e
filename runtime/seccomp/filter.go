package seccomp

// Insn is one instruction, laid out as the kernel's struct sock_filter.
type Insn struct {
	Code   uint16
	Jt, Jf uint8
	K      uint32
}

// Filter is a compiled profile.
type Filter struct {
	Prog []Insn
	// Flags are the SECCOMP_FILTER_FLAG_ bits for seccomp(2), among them
	// NEW_LISTENER when NotifyUsed.
	Flags uint32
	// NotifyUsed says that a rule hands calls to a supervisor. The listener
	// descriptor then goes to the profile's ListenerPath.
	NotifyUsed bool
}

// Data is what the kernel shows a filter, its struct seccomp_data.
type Data struct {
	Nr   int32
	Arch uint32 // AUDIT_ARCH_
	IP   uint64
	Args [6]uint64
}

// maxInsns is the kernel's BPF_MAXINSNS.
const maxInsns = 4096

// Instructions of classic BPF that filters use, linux/bpf_common.h.
const (
	opLoad = 0x20 // A = word at offset K of Data
	opAnd  = 0x54 // A &= K
	opJump = 0x05 // forward by K
	opJeq  = 0x15 // A == K
	opJgt  = 0x25 // A > K
	opJge  = 0x35 // A >= K
	opJset = 0x45 // A & K != 0
	opRet  = 0x06 // the verdict is K
)

// Offsets in Data. Every machine we know is little-endian.
const (
	offNr   = 0
	offArch = 4
	offArgs = 16 // low word first
)

// Verdicts, linux/seccomp.h. The low 16 bits carry an errno or a trace value.
const (
	retKillProcess = 0x80000000
	retKillThread  = 0x00000000
	retTrap        = 0x00030000
	retErrno       = 0x00050000
	retNotify      = 0x7fc00000
	retTrace       = 0x7ff00000
	retLog         = 0x7ffc0000
	retAllow       = 0x7fff0000

	retMask = 0xffff0000
)

// Filter flags, linux/seccomp.h.
const (
	flagLog          = 1 << 1
	flagSpecAllow    = 1 << 2
	flagNewListener  = 1 << 3
	flagWaitKillable = 1 << 5
)

// Error numbers; the same on every machine we know.
const (
	ePerm    = 1
	eNoSys   = 38
	maxErrno = 4095
)
