package launch

import (
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/runtime/plan"
)

// What an op does besides its system call.
const (
	opMust = 1 << iota // the result must be want
	opFork             // the parent half reports the new pid and exits
	opFail             // no call: fail with errno want
	opJump             // no call: skip
	opExec             // when it returns at all, it did not work
)

// op is one system call; all arguments are constants. It is as the image has
// it, so that ops need no copy to become one: see image.go.
//
//	0 nr   8 arg[6]   56 want   64 into   68 ok[4]   76 skip   77 kind   78 addrs
type op struct {
	nr    uint64
	arg   [6]uint64
	want  uint64
	into  int32     // descriptor number for the result, or -1
	ok    [4]uint16 // errors that count as done
	skip  uint8     // on success jump forward; never back, so every program ends
	kind  uint8
	addrs uint8 // bit n: arg n is an offset into data, until it has its address
	_     uint8
}

// Program is an assembled plan: ops, and the data that they point to.
type Program struct {
	plan  *plan.Plan
	ops   []op
	steps []uint16 // step of each op
	data  []byte
	refs  []ref

	shared map[*[16]byte]int // offsets of shared arguments; few programs have one
}

// ref is a pointer inside data: at offset at stands the address of offset to.
type ref struct{ at, to int }

// Assemble lowers a plan, which verifies it, to ops. It is pure.
func Assemble(p *plan.Plan) (*Program, error) {
	n := 8 * p.Steps() // they have five calls as a rule; what is not used is not touched
	pr := &Program{plan: p, ops: make([]op, 0, n), steps: make([]uint16, 0, n), data: make([]byte, 0, 32*n)}
	err := p.Lower(func(step int, calls []plan.Call) error {
		for i := range calls {
			pr.ops, pr.steps = append(pr.ops, pr.op(&calls[i])), append(pr.steps, uint16(step))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pr, nil
}

func (pr *Program) op(c *plan.Call) op {
	o := op{nr: uint64(c.Nr), into: -1, skip: c.Skip, ok: c.OK}
	if c.Into != plan.NoSlot {
		o.into = int32(c.Into.FD())
	}
	switch {
	case c.Name == "skip":
		o.kind = opJump
	case c.Fail != 0:
		o.kind, o.want = opFail, uint64(c.Fail)
	case c.Fork:
		o.kind = opFork
	case c.Must:
		o.kind, o.want = opMust, uint64(c.Want)
	case c.Nr == unix.SYS_EXECVE:
		o.kind = opExec
	}
	for i := range c.Args() {
		pr.arg(&o, i, &c.Args()[i])
	}
	return o
}

func (pr *Program) arg(o *op, i int, a *plan.Arg) {
	switch a.Kind {
	case plan.Number:
		o.arg[i] = a.N
		return
	case plan.InSlot:
		o.arg[i] = uint64(plan.Slot(a.N).FD())
		return
	case plan.Text:
		o.arg[i] = uint64(pr.put(a.S))
		pr.data = append(pr.data, 0)
	case plan.Bytes:
		at := pr.place(a)
		o.arg[i] = uint64(at)
		if a.More != nil {
			for _, r := range a.More.Refs {
				pr.refs = append(pr.refs, ref{at + r.Offset, pr.put(string(r.Target))})
			}
		}
	case plan.Strings:
		o.arg[i] = uint64(pr.strings(a.More.List))
	}
	o.addrs |= 1 << i
}

// place puts the bytes of an argument, once if it is shared.
func (pr *Program) place(a *plan.Arg) int {
	if a.More == nil || a.More.Shared == nil {
		return pr.put(a.S)
	}
	at, known := pr.shared[a.More.Shared]
	if known {
		return at
	}
	if pr.shared == nil {
		pr.shared = map[*[16]byte]int{}
	}
	at = pr.put(a.S)
	pr.shared[a.More.Shared] = at
	return at
}

// put copies s into data, aligned to 8, and returns its offset.
func (pr *Program) put(s string) int {
	const zeros = "\x00\x00\x00\x00\x00\x00\x00"
	pr.data = append(pr.data, zeros[:-len(pr.data)&7]...)
	at := len(pr.data)
	pr.data = append(pr.data, s...)
	return at
}

// strings lays out a NULL-terminated array of pointers to strings.
func (pr *Program) strings(words []string) int {
	at := pr.put("")
	pr.data = append(pr.data, make([]byte, 8*(len(words)+1))...)
	for i, w := range words {
		pr.refs = append(pr.refs, ref{at + 8*i, pr.put(w)})
		pr.data = append(pr.data, 0)
	}
	return at
}
