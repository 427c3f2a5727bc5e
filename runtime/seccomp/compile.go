package seccomp

import (
	"slices"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Compile makes the filter of a profile for a machine, named by its GOARCH.
//
//	ld arch ─► jeq ─► ld nr ─► jge ─┬─► jge ─┬─► ret
//	           jeq     (one tree    │        └─► ld args… ─► ret
//	           kill     per ABI)    └─► jge …
//
// Errors are fault.Invalid with the JSON path of what is wrong.
func Compile(p *specs.LinuxSeccomp, arch string) (*Filter, error) {
	f, err := compile(p, arch)
	return f, fault.Op("seccomp.compile", "", err)
}

func compile(p *specs.LinuxSeccomp, arch string) (*Filter, error) {
	m, ok := machineOf(arch)
	if !ok {
		return nil, fault.New(fault.Unsupported, "no system call table for %s", arch)
	}
	if p == nil {
		return nil, fault.New(fault.Invalid, "linux.seccomp: there is no profile")
	}
	q, err := resolve(p, "linux.seccomp.")
	if err != nil {
		return nil, err
	}
	prog := q.program(m, p.Architectures)
	if len(prog) > maxInsns {
		return nil, fault.New(fault.TooLarge, "the profile needs %d instructions, the kernel takes %d; give it fewer rules with args", len(prog), maxInsns)
	}
	f := &Filter{Prog: prog, Flags: q.flags, NotifyUsed: notifies(prog)}
	if !f.NotifyUsed { // a rule may be about calls that this machine has not
		f.Flags &^= flagNewListener | flagWaitKillable
	}
	return f, nil
}

func notifies(prog []Insn) bool {
	return slices.ContainsFunc(prog, func(in Insn) bool { return in.Code == opRet && in.K == retNotify })
}

// program writes the whole filter: the choice of the ABI and a tree for each.
// The machine's own ABI is always there, as in libseccomp.
func (q *policy) program(m machine, listed []specs.Arch) []Insn {
	a := &assembler{rev: make([]Insn, 0, 1024)}
	next := a.ret(retKillProcess)
	for i := len(m.abis) - 1; i >= 0; i-- {
		b := m.abis[i]
		if b == x32 || i > 0 && !slices.Contains(listed, abiNames[b]) {
			continue // x32 lives in the tree of amd64
		}
		spans := q.spans(b)
		if b == amd64 {
			spans = append(spans, q.x32Spans(slices.Contains(listed, abiNames[x32]))...)
		}
		tree := a.load(offNr, tree(a, spans))
		next = a.jump(opJeq, auditArch[b], tree, next)
	}
	return a.program(a.load(offArch, next))
}

// A span is a range of numbers, up to the next span, with one decision.
type span struct {
	from    uint32
	ret     uint32
	clauses []clause // tried first
	abi     abi      // whose arguments they look at
}

func (s span) plain(ret uint32) bool { return len(s.clauses) == 0 && s.ret == ret }

// unknown is the verdict for calls that the profile's author cannot have known.
func (q *policy) unknown() uint32 {
	if permits(q.def) {
		return q.def
	}
	return retErrno | eNoSys
}

// spans orders all decisions of one ABI by number, without gaps.
func (q *policy) spans(b abi) []span {
	next := uint32(0)
	if b == x32 {
		next = x32Bit
	}
	calls := q.calls(b)
	if len(calls) == 0 {
		return []span{{from: next, ret: q.def}}
	}
	out := make([]span, 0, len(calls)/2)
	add := func(s span) {
		if n := len(out); n > 0 && out[n-1].plain(s.ret) && s.plain(s.ret) {
			return // goes on as before
		}
		out = append(out, s)
	}
	for n := 0; len(calls) > 0; calls = calls[n:] {
		nr := calls[0].nr()
		for n = 1; n < len(calls) && calls[n].nr() == nr; n++ {
		}
		if nr > next {
			add(span{from: next, ret: q.gap(next, nr, b)})
		}
		add(q.decide(calls[:n], b))
		next = nr + 1
	}
	add(span{from: next, ret: q.unknown()})
	return out
}

// gap is the verdict for numbers between two that are named. On arm the
// private calls of the machine stand far behind the ordinary ones, so what is
// between the two kinds is newer than the profile.
func (q *policy) gap(from, to uint32, b abi) uint32 {
	if b == arm && 0 < from && from < armPrivate && to >= armPrivate {
		return q.unknown()
	}
	return q.def
}

// x32Spans says what amd64 does with numbers that have the bit of x32, and
// with -1, which a tracer sets to skip a call: killing would hit the innocent.
func (q *policy) x32Spans(listed bool) []span {
	spans := []span{{from: x32Bit, ret: retKillProcess}}
	if listed {
		spans = q.spans(x32)
	}
	return append(spans, span{from: noCall, ret: q.unknown()})
}

// A call says that a clause applies to a number, packed so that sorting is
// cheap and keeps the order of the rules:
//
//	number:32  clause+1:24, 0 when it is only named  function:8
//
// A function is one of socketcall or ipc and stands for the clause's own
// conditions.
type call uint64

func newCall(nr int32, clause, fn int) call {
	return call(uint32(nr))<<32 | call(clause+1)<<8 | call(fn)
}

func (c call) nr() uint32       { return uint32(c >> 32) }
func (c call) clause() int      { return int(uint32(c)>>8) - 1 }
func (c call) function() uint64 { return uint64(uint8(c)) }

// calls lists what the rules say for one ABI by number, in the rules' order.
func (q *policy) calls(b abi) []call {
	calls := make([]call, 0, len(q.uses)+64)
	for _, u := range q.uses {
		if nr := syscalls[u.row].nr[b]; nr >= 0 {
			if u.from == u.to {
				calls = append(calls, newCall(nr, -1, 0))
			}
			for i := u.from; i < u.to; i++ {
				calls = append(calls, newCall(nr, i, 0))
			}
		}
		if b == i386 {
			calls = q.multiplex(calls, u)
		}
	}
	slices.Sort(calls)
	return calls
}

// multiplex adds the way of a call through socketcall or ipc.
func (q *policy) multiplex(calls []call, u use) []call {
	through, fn := syscalls[u.row].multiplexed()
	if fn == 0 {
		return calls
	}
	for i := u.from; i < u.to; i++ {
		if c := q.clauses[i]; len(c.conds) > 0 && permits(c.ret) {
			continue // its conditions cannot be checked there
		}
		calls = append(calls, newCall(through, i, fn))
	}
	return calls
}

// decide joins all that is said about one number.
func (q *policy) decide(calls []call, b abi) span {
	s := span{from: calls[0].nr(), ret: q.def, abi: b}
	for _, c := range calls {
		if c.clause() < 0 {
			continue
		}
		cl := q.clauses[c.clause()]
		if fn := c.function(); fn != 0 {
			cl.conds = []specs.LinuxSeccompArg{{Index: 0, Value: fn, Op: specs.OpEqualTo}}
		}
		if len(cl.conds) == 0 {
			return span{from: s.from, ret: cl.ret, abi: b}
		}
		s.clauses = append(s.clauses, cl)
	}
	return s
}

// tree searches the span of the number in the accumulator.
func tree(a *assembler, spans []span) label {
	if len(spans) == 1 {
		return spans[0].leaf(a)
	}
	mid := len(spans) / 2
	right := tree(a, spans[mid:])
	left := tree(a, spans[:mid])
	return a.jump(opJge, spans[mid].from, right, left)
}

// leaf tries the clauses in order.
func (s span) leaf(a *assembler) label {
	next := a.ret(s.ret)
	for _, c := range slices.Backward(s.clauses) {
		hit := a.ret(c.ret)
		for _, cond := range slices.Backward(c.conds) {
			hit = a.condition(cond, s.abi.wide(), hit, next)
		}
		next = hit
	}
	return next
}
