package seccomp

import (
	"slices"
	"strconv"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// A policy is a checked profile with everything spelled in numbers.
type policy struct {
	def     uint32
	clauses []clause
	uses    []use
	size    int // clauses with conditions times the names they are for
	notify  bool
	flags   uint32
	row     int // where the next name probably is
	named   [len(syscalls)]uint8
}

// A clause gives its verdict when all its conditions hold.
type clause struct {
	ret   uint32
	conds []specs.LinuxSeccompArg
}

// A use is one name in one rule: a row of the table and the clauses
// [from, to) that apply to it. None for a rule that repeats the default: such a
// call counts as named and nothing more.
type use struct {
	row      int
	from, to int
}

// maxClauses is what fits into a call.
const maxClauses = 1<<24 - 2

// maxArg is the last argument of a system call.
const maxArg = 5

// resolve checks p; at is the JSON path of p for messages.
func resolve(p *specs.LinuxSeccomp, at string) (*policy, error) {
	top := spot{at, -1}
	def, err := verdict(p.DefaultAction, p.DefaultErrnoRet, top, "defaultAction", "defaultErrnoRet")
	if err != nil {
		return nil, err
	}
	if def == retNotify {
		return nil, top.invalid("defaultAction", "SCMP_ACT_NOTIFY cannot be used as default action")
	}
	for i, a := range p.Architectures {
		if !slices.Contains(architectures[:], a) {
			return nil, top.invalid(item("architectures", i), "unknown architecture %q", a)
		}
	}
	q := &policy{def: def, uses: make([]use, 0, 512)}
	for i := range p.Syscalls {
		if err := q.add(&p.Syscalls[i], spot{at, i}); err != nil {
			return nil, err
		}
	}
	if q.notify && p.ListenerPath == "" {
		return nil, top.invalid("listenerPath", "must be set because a rule has SCMP_ACT_NOTIFY")
	}
	if p.ListenerMetadata != "" && p.ListenerPath == "" {
		return nil, top.invalid("listenerMetadata", "needs listenerPath")
	}
	q.flags, err = flagBits(p.Flags, q.notify, top)
	return q, err
}

// A spot in a profile is the profile itself or one of its rules. It is put
// into words only when there is something to complain about.
type spot struct {
	profile string // JSON path
	rule    int    // -1: the profile itself
}

// invalid says what is wrong with a field.
func (p spot) invalid(field, format string, args ...any) error {
	return p.op(field, fault.New(fault.Invalid, format, args...))
}

func (p spot) op(field string, err error) error {
	if p.rule >= 0 {
		field = item("syscalls", p.rule) + "." + field
	}
	return fault.Op(p.profile+field, "", err)
}

func item(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// add takes one rule in.
func (q *policy) add(s *specs.LinuxSyscall, at spot) error {
	ret, err := verdict(s.Action, s.ErrnoRet, at, "action", "errnoRet")
	if err != nil {
		return err
	}
	if len(s.Names) == 0 {
		return at.invalid("names", "must name a system call")
	}
	for i, a := range s.Args {
		if a.Index > maxArg {
			return at.invalid(item("args", i)+".index", "%d is more than %d", a.Index, maxArg)
		}
		if !slices.Contains(operators[:], a.Op) {
			return at.invalid(item("args", i)+".op", "unknown operator %q", a.Op)
		}
	}
	from := len(q.clauses)
	if ret != q.def {
		q.split(ret, s.Args)
	}
	for i, name := range s.Names {
		if name == "" {
			return at.invalid(item("names", i), "must not be empty")
		}
		if ret == retNotify && name == "write" {
			// The container's own start writes before the supervisor can answer.
			return at.invalid(item("names", i), "SCMP_ACT_NOTIFY cannot be used for the write syscall")
		}
		if row := find(name, q.row); row >= 0 {
			q.use(use{row, from, len(q.clauses)})
			q.row = row + 1
		}
	}
	// Each condition costs an instruction; do not try what cannot fit.
	if len(s.Args) > 0 {
		q.size += len(s.Names) * (len(q.clauses) - from)
	}
	if q.size > maxInsns || len(q.clauses) > maxClauses {
		return at.op("args", fault.New(fault.TooLarge, "too many rules with args, the kernel takes %d instructions; give it fewer rules, or fewer names in them", maxInsns))
	}
	q.notify = q.notify || ret == retNotify
	return nil
}

// use notes that a call is named, unless that changes nothing: a rule without
// conditions is the last word about its calls.
func (q *policy) use(u use) {
	switch {
	case q.named[u.row] == settled:
		return
	case u.from == u.to:
		if q.named[u.row] != 0 {
			return
		}
		q.named[u.row] = once
	case len(q.clauses[u.from].conds) == 0:
		q.named[u.row] = settled
	}
	q.uses = append(q.uses, u)
}

// What is known of a call of the table while rules are read.
const (
	once    = 1 + iota // it is named
	settled            // it has a rule without conditions
)

// split makes the clauses of one rule: one, or as many as there are conditions
// when two look at the same argument.
func (q *policy) split(ret uint32, conds []specs.LinuxSeccompArg) {
	seen := [maxArg + 1]bool{}
	twice := false
	for _, c := range conds {
		twice = twice || seen[c.Index]
		seen[c.Index] = true
	}
	if !twice {
		q.clauses = append(q.clauses, clause{ret, conds})
		return
	}
	for i := range conds {
		q.clauses = append(q.clauses, clause{ret, conds[i : i+1]})
	}
}

// verdict returns the number the filter returns for an action.
func verdict(a specs.LinuxSeccompAction, errno *uint, at spot, action, errnoRet string) (uint32, error) {
	switch a {
	case specs.ActErrno:
		if errno != nil && *errno > maxErrno {
			return 0, at.invalid(errnoRet, "%d is more than %d", *errno, maxErrno)
		}
		return retErrno | data(errno), nil
	case specs.ActTrace:
		if errno != nil && *errno > 0xffff {
			return 0, at.invalid(errnoRet, "%d is more than %d", *errno, 0xffff)
		}
		return retTrace | data(errno), nil
	}
	ret, ok := plainVerdict(a)
	if !ok {
		return 0, at.invalid(action, "unknown action %q", a)
	}
	if errno != nil {
		return 0, at.invalid(errnoRet, "%s returns no errno, remove it", a)
	}
	return ret, nil
}

func plainVerdict(a specs.LinuxSeccompAction) (ret uint32, ok bool) {
	switch a {
	case specs.ActKill, specs.ActKillThread:
		return retKillThread, true
	case specs.ActKillProcess:
		return retKillProcess, true
	case specs.ActTrap:
		return retTrap, true
	case specs.ActAllow:
		return retAllow, true
	case specs.ActLog:
		return retLog, true
	case specs.ActNotify:
		return retNotify, true
	}
	return 0, false
}

func data(errno *uint) uint32 {
	if errno == nil {
		return ePerm
	}
	return uint32(*errno)
}

// permits reports whether a verdict lets the call happen, or lets someone
// emulate it who knows which calls exist.
func permits(ret uint32) bool {
	switch ret & retMask {
	case retAllow, retLog, retTrace:
		return true
	}
	return false
}

// flagBits translates the flags. One that goes with a listener is dropped where
// there is none: the kernel would refuse it. No list at all means SPEC_ALLOW:
// else the kernel slows every container down by a Spectre mitigation.
func flagBits(list []specs.LinuxSeccompFlag, notify bool, at spot) (uint32, error) {
	bits := uint32(0)
	if list == nil {
		bits = flagSpecAllow
	}
	for i, name := range list {
		j := slices.IndexFunc(flags[:], func(f flag) bool { return f.name == name })
		if j < 0 {
			return 0, at.invalid(item("flags", i), "unknown flag %q", name)
		}
		if f := flags[j]; f.with == 0 || notify {
			bits |= f.bits
		}
	}
	if notify {
		bits |= flagNewListener
	}
	return bits, nil
}
