package seccomp

import "fmt"

// Disassemble returns one line for each instruction; jumps show the number of
// the line they go to, numbers of machines and verdicts their names.
func Disassemble(prog []Insn) []string {
	lines := make([]string, 0, len(prog))
	arch := false // the accumulator holds the machine's number
	for i, in := range prog {
		if in.Code == opLoad {
			arch = in.K == offArch
		}
		lines = append(lines, fmt.Sprintf("%4d  %s", i, in.text(i, arch)))
	}
	return lines
}

func (in Insn) text(at int, arch bool) string {
	k := fmt.Sprintf("%#x", in.K)
	if arch {
		if name := archName(in.K); name != "" {
			k = name
		}
	}
	t, f := at+1+int(in.Jt), at+1+int(in.Jf)
	switch in.Code {
	case opLoad:
		return "ld   " + place(in.K)
	case opAnd:
		return "and  " + k
	case opJump:
		return fmt.Sprintf("ja   %d", at+1+int(in.K))
	case opJeq:
		return fmt.Sprintf("jeq  %s ? %d : %d", k, t, f)
	case opJgt:
		return fmt.Sprintf("jgt  %s ? %d : %d", k, t, f)
	case opJge:
		return fmt.Sprintf("jge  %s ? %d : %d", k, t, f)
	case opJset:
		return fmt.Sprintf("jset %s ? %d : %d", k, t, f)
	case opRet:
		return "ret  " + Verdict(in.K)
	}
	return fmt.Sprintf("code %#x jt %d jf %d k %s", in.Code, in.Jt, in.Jf, k)
}

func archName(k uint32) string {
	for a, n := range auditArch {
		if n == k {
			return string(abiNames[a])
		}
	}
	return ""
}

func place(off uint32) string {
	switch {
	case off == offNr:
		return "nr"
	case off == offArch:
		return "arch"
	case off == offArch+4:
		return "ip.low"
	case off == offArch+8:
		return "ip.high"
	case off%8 == 0 && off < offArgs+8*(maxArg+1):
		return fmt.Sprintf("arg%d.low", (off-offArgs)/8)
	case off%4 == 0 && off < offArgs+8*(maxArg+1):
		return fmt.Sprintf("arg%d.high", (off-offArgs)/8)
	}
	return fmt.Sprintf("[%d]", off)
}

// Verdict returns the readable form of what a filter returned.
func Verdict(ret uint32) string {
	low := ret &^ retMask
	switch ret & retMask {
	case retKillProcess:
		return "KILL_PROCESS"
	case retKillThread:
		return "KILL_THREAD"
	case retTrap:
		return "TRAP"
	case retErrno:
		switch low {
		case ePerm:
			return "ERRNO(EPERM)"
		case eNoSys:
			return "ERRNO(ENOSYS)"
		}
		return fmt.Sprintf("ERRNO(%d)", low)
	case retNotify:
		return "NOTIFY"
	case retTrace:
		return fmt.Sprintf("TRACE(%d)", low)
	case retLog:
		return "LOG"
	case retAllow:
		return "ALLOW"
	}
	return fmt.Sprintf("%#x", ret)
}
