package container

import (
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// ParseSize reads an amount of bytes with a binary unit: 64m, 1.5g, 512. Whole
// numbers are exact to the last byte; a fraction is rounded down.
func ParseSize(s string) (int64, error) {
	cut := strings.LastIndexAny(s, "0123456789.") + 1
	num, unit := s[:cut], strings.ToLower(strings.TrimPrefix(s[cut:], " "))
	whole, frac, hasFrac := strings.Cut(num, ".")
	if num == "" || whole+frac == "" || !isDigits(whole) || !isDigits(frac) {
		return 0, invalid("invalid size: '%s'", printable(s))
	}
	shift, ok := unitShift(unit)
	if !ok {
		return 0, invalid("invalid suffix: '%s'", printable(unit))
	}
	n, err := strconv.ParseUint("0"+whole, 10, 63)
	if err != nil || n > math.MaxInt64>>shift {
		return 0, invalid("invalid size: '%s': too large", printable(s))
	}
	n <<= shift
	if hasFrac {
		n += fraction(frac, shift)
	}
	if n > math.MaxInt64 {
		return 0, invalid("invalid size: '%s': too large", printable(s))
	}
	return int64(n), nil
}

// fraction is 0.FRAC shifted left: digits beyond the 18th change no byte of
// the units that there are.
func fraction(frac string, shift uint) uint64 {
	frac = frac[:min(len(frac), 18)]
	n, _ := strconv.ParseUint("0"+frac, 10, 64)
	ten := uint64(1)
	for range frac {
		ten *= 10
	}
	hi, lo := bits.Mul64(n, 1<<shift)
	q, _ := bits.Div64(hi, lo, ten)
	return q
}

// unitShift knows k, m, g, t, p, each also as kb and kib, and b for bytes.
func unitShift(unit string) (uint, bool) {
	if unit == "" || unit == "b" {
		return 0, true
	}
	i := strings.IndexByte("kmgtp", unit[0])
	rest := unit[1:]
	return uint(i+1) * 10, i >= 0 && (rest == "" || rest == "b" || rest == "ib")
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// ParseSwap reads --memory-swap: a size, or -1 for no limit.
func ParseSwap(s string) (int64, error) {
	if s == "-1" {
		return -1, nil
	}
	return ParseSize(s)
}

// ParseCPUs reads --cpus, a decimal number, as billionths of a processor.
func ParseCPUs(s string) (int64, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, frac, _ := strings.Cut(digits, ".")
	bad := invalid("failed to parse %s as a rational number", printable(s))
	if whole+frac == "" || !isDigits(whole+frac) {
		return 0, bad
	}
	frac = strings.TrimRight(frac, "0")
	if len(frac) > 9 {
		return 0, invalid("value is too precise")
	}
	n, err := strconv.ParseInt(whole+frac+strings.Repeat("0", 9-len(frac)), 10, 63)
	if err != nil {
		return 0, bad
	}
	if negative { // refused later, with the range
		n = -n
	}
	return n, nil
}

// maxCPU bounds processor and node numbers: no Linux has more, and a list is
// never expanded beyond it.
const maxCPU = 8191

// ParseCPUSet reads a list such as 0-3,5 into ascending numbers.
func ParseCPUSet(s string) ([]int, error) {
	var out []int
	for _, part := range strings.Split(strings.TrimSpace(s), ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		a, err := cpuNumber(lo)
		b := a
		if err == nil && isRange {
			b, err = cpuNumber(hi)
		}
		if err != nil || b < a {
			return nil, invalid("bad list %q: want numbers and ranges up to %d, as in 0-3,5", printable(s), maxCPU)
		}
		for n := a; n <= b; n++ {
			out = append(out, n)
		}
		if len(out) > 4*maxCPU { // the same range again and again
			return nil, invalid("bad list %q: too long", printable(s))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func cpuNumber(s string) (int, error) {
	if s == "" || !isDigits(s) {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n > maxCPU {
		err = strconv.ErrRange
	}
	return int(n), err
}

// ParseUlimit reads one --ulimit: name=soft[:hard].
func ParseUlimit(s string) (Ulimit, error) {
	name, limits, ok := strings.Cut(s, "=")
	if !ok {
		return Ulimit{}, invalid("invalid ulimit argument: %s", printable(s))
	}
	u := Ulimit{Name: name}
	if err := u.checkName(); err != nil {
		return Ulimit{}, err
	}
	soft, hard, two := strings.Cut(limits, ":")
	if strings.Contains(hard, ":") {
		return Ulimit{}, invalid("too many limit value arguments - %s, can only have up to two, `soft[:hard]`", printable(limits))
	}
	if !two {
		hard = soft
	}
	var err error
	if u.Soft, err = strconv.ParseInt(soft, 10, 64); err == nil {
		u.Hard, err = strconv.ParseInt(hard, 10, 64)
	}
	if err != nil {
		return Ulimit{}, fault.As(fault.Invalid, err)
	}
	return u, u.Check()
}

// Check refuses unknown names and limits that contradict each other.
func (u Ulimit) Check() error {
	if err := u.checkName(); err != nil {
		return err
	}
	switch {
	case u.Soft < -1 || u.Hard < -1:
		return invalid("invalid ulimit %s=%d:%d: use -1 for no limit", u.Name, u.Soft, u.Hard)
	case u.Hard != -1 && u.Soft == -1:
		return invalid("ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: %d", u.Hard)
	case u.Hard != -1 && u.Soft > u.Hard:
		return invalid("ulimit soft limit must be less than or equal to hard limit: %d > %d", u.Soft, u.Hard)
	}
	return nil
}

func (u Ulimit) checkName() error {
	switch u.Name {
	case "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
		"nproc", "rss", "rtprio", "rttime", "sigpending", "stack":
		return nil
	}
	return invalid("invalid ulimit type: %s", printable(u.Name))
}

// ParseRestart reads --restart: no, always, unless-stopped, on-failure[:N].
func ParseRestart(s string) (RestartPolicy, error) {
	name, count, hasCount := strings.Cut(s, ":")
	if hasCount && name == "" {
		return RestartPolicy{}, invalid("invalid restart policy format: no policy provided before colon")
	}
	p := RestartPolicy{Name: name}
	if count != "" {
		n, err := strconv.ParseInt(count, 10, 32)
		if err != nil {
			return RestartPolicy{}, invalid("invalid restart policy format: maximum retry count must be an integer")
		}
		p.MaxRetries = int(n)
	}
	switch {
	case name != "" && name != "no" && name != "always" && name != "unless-stopped" && name != "on-failure":
		return RestartPolicy{}, invalid("invalid restart policy: unknown policy '%s'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'", printable(name))
	case p.MaxRetries < 0:
		return RestartPolicy{}, invalid("invalid restart policy: maximum retry count cannot be negative")
	case p.MaxRetries != 0 && name != "on-failure":
		return RestartPolicy{}, invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'")
	}
	return p, nil
}
