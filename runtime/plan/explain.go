package plan

import (
	"fmt"
	"io"
	"strings"
)

// ExplainOptions chooses what Explain prints.
type ExplainOptions struct {
	Calls bool // the raw system calls under each step
}

// Explain prints the plan in the order in which it happens, in words and, if
// asked, with the system calls. "→s5" after a call means that the descriptor
// it returns becomes number 64+5, close-on-exec.
func (p *Plan) Explain(w io.Writer, o ExplainOptions) error {
	e := explainer{w: w, calls: o.Calls}
	e.line("clone", "", p.Clone.String())
	for _, in := range p.Inputs {
		e.line("inputs", "", fmt.Sprintf("%s as descriptor %d", in.What, in.FD))
	}
	return p.Lower(func(n int, calls []Call) error {
		s, phase := p.At(n)
		e.line(phase, fmt.Sprintf("%02d", n+1), s.String())
		e.raw(calls)
		return e.err
	})
}

func (c Clone) String() string {
	words := "new process"
	if c.Flags != 0 {
		words += " in new namespaces: " + NamespaceWords(c.Flags)
	}
	if c.IntoCgroup {
		words += ", born in its cgroup of the unified tree"
	}
	if c.IDMaps {
		words += ", id maps written by the parent"
	}
	return words
}

type explainer struct {
	w     io.Writer
	calls bool
	err   error
}

func (e *explainer) line(phase, n, what string) {
	if e.err == nil {
		_, e.err = fmt.Fprintf(e.w, " %-10s %-3s %s\n", phase, n, visible(what))
	}
}

func (e *explainer) raw(calls []Call) {
	if !e.calls || e.err != nil {
		return
	}
	for i := range calls {
		if _, e.err = fmt.Fprintf(e.w, "                  %s\n", visible(calls[i].String())); e.err != nil {
			return
		}
	}
}

// visible keeps strings of a specification from playing tricks on a terminal.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return '�'
		}
		return r
	}, s)
}
