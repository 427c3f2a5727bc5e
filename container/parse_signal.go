package container

import (
	"strconv"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// Real-time signals, as glibc numbers them: it keeps 32 and 33 for itself.
const (
	sigRTMin = 34
	sigRTMax = 64
)

// signalNames at their numbers; amd64 and arm64 agree.
var signalNames = [...]string{
	1: "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV",
	"USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU",
	"URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
}

// ParseSignal reads a signal's name, in any case, with or without SIG, or its
// number.
func ParseSignal(s string) (int, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > sigRTMax {
			return 0, badSignal(s)
		}
		return n, nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	switch name {
	case "":
		return 0, badSignal(s)
	case "IOT":
		return 6, nil
	case "CLD":
		return 17, nil
	case "POLL":
		return 29, nil
	}
	for n, known := range signalNames {
		if known == name {
			return n, nil
		}
	}
	return parseRealTime(s, name)
}

// parseRealTime reads RTMIN, RTMIN+n, RTMAX, RTMAX-n.
func parseRealTime(s, name string) (int, error) {
	base, sign := sigRTMin, 1
	rest, ok := strings.CutPrefix(name, "RTMIN")
	if !ok {
		base, sign = sigRTMax, -1
		if rest, ok = strings.CutPrefix(name, "RTMAX"); !ok {
			return 0, badSignal(s)
		}
	}
	if rest == "" {
		return base, nil
	}
	digits, ok := strings.CutPrefix(rest, map[int]string{1: "+", -1: "-"}[sign])
	off, err := strconv.ParseUint(digits, 10, 8)
	n := base + sign*int(off)
	if !ok || err != nil || n < sigRTMin || n > sigRTMax {
		return 0, badSignal(s)
	}
	return n, nil
}

func badSignal(s string) error {
	return fault.New(fault.Invalid, "invalid signal: %s", printable(s))
}

// SignalName is the canonical name of a signal, SIGTERM for 15; its number in
// words when it has none.
func SignalName(n int) string {
	switch {
	case n > 0 && n < len(signalNames):
		return "SIG" + signalNames[n]
	case n == sigRTMin:
		return "SIGRTMIN"
	case n > sigRTMin && n < sigRTMax:
		return "SIGRTMIN+" + strconv.Itoa(n-sigRTMin)
	case n == sigRTMax:
		return "SIGRTMAX"
	}
	return strconv.Itoa(n)
}
