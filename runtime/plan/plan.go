package plan

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// Plan is everything that makes one process of a container: how it is born,
// what it finds open, what it does until it is the payload.
type Plan struct {
	Clone  Clone
	Inputs []Input
	Phases []Phase
	// Warnings are what the specification asks for and will not get, in words:
	// a capability that cannot be granted is no reason to fail.
	Warnings []string
}

// Clone is the birth of the child.
type Clone struct {
	Flags      uint64 // CLONE_NEW*; clone3(2)
	IntoCgroup bool   // born inside the container's cgroup of the unified tree
	IDMaps     bool   // the parent writes uid_map and gid_map at Born
}

// Input is a file that the parent opens and the child finds under number FD.
// What names it for whoever opens it: "stdin", "stdout", "stderr",
// "preserve:N", "ns:PATH", "net:" and words about a new network namespace,
// "pidfd", "start".
type Input struct {
	What string
	FD   int
	Keep bool // stays open over exec
}

// Phase is a run of steps under one name, for people and errors.
type Phase struct {
	Name  string
	Steps []Step
}

// Point is a moment at which the child waits for the parent.
type Point uint8

// The points, in order.
const (
	Grouped   Point = iota + 1 // the cgroups are made
	Born                       // parent writes id maps and whatever needs the host's /proc
	Rooted                     // mounts are made, the old root is still there: hooks
	Listening                  // the filter is in, and its listener open: see Listener
	Ready                      // all is set up but rights: state is created
)

// What a mount may ask the parent for, in between and more than once. Step
// says which mount it is.
const (
	Linked  Point = iota + 16 // make the target: there are links on the way to it
	Checked                   // look at what is in slot Target, or of a device in Temp
	Filled                    // give the file system in slot Tree what Target has
)

func (p Point) String() string {
	switch p {
	case Linked:
		return "linked"
	case Checked:
		return "checked"
	case Filled:
		return "filled"
	case Grouped:
		return "grouped"
	case Born:
		return "born"
	case Rooted:
		return "rooted"
	case Listening:
		return "listening"
	case Ready:
		return "ready"
	}
	return fmt.Sprintf("point %d", uint8(p))
}

// Step is one thing the child does. The set is closed: see steps.go.
type Step interface {
	String() string
	// Calls appends the system calls of the step.
	Calls([]Call) []Call
}

// Steps returns the number of steps in all phases.
func (p *Plan) Steps() int {
	n := 0
	for _, ph := range p.Phases {
		n += len(ph.Steps)
	}
	return n
}

// Lower goes through the steps, counted from 0 over all phases, with their
// system calls. These are valid until do returns only: a plan has seven
// hundred of them, and fresh memory is what a start pays most for. They are
// verified before do sees them, because making them twice, once to verify and
// once to use them, took a fortieth of a start; see verifier. An error of do ends
// it.
func (p *Plan) Lower(do func(n int, calls []Call) error) error {
	const most = 64 // steps with more are seldom
	v, n := newVerifier(p.Inputs), 0
	scratch := make([]Call, 0, most)
	for _, ph := range p.Phases {
		for _, s := range ph.Steps {
			scratch = s.Calls(scratch[:0])
			if err := v.step(s, scratch); err != nil {
				return fault.Op("verify plan: "+ph.Name, s.String(), err)
			}
			if err := do(n, scratch); err != nil {
				return err
			}
			n++
		}
	}
	return nil
}

// At returns step n, counted from 0 over all phases, and its phase.
func (p *Plan) At(n int) (Step, string) {
	for _, ph := range p.Phases {
		if n < len(ph.Steps) {
			return ph.Steps[n], ph.Name
		}
		n -= len(ph.Steps)
	}
	return nil, ""
}

// cloneNames are the namespace flags, in the order people list them.
var cloneNames = [...]struct {
	flag uint64
	name string
}{
	{unix.CLONE_NEWUSER, "user"},
	{unix.CLONE_NEWNS, "mnt"},
	{unix.CLONE_NEWPID, "pid"},
	{unix.CLONE_NEWIPC, "ipc"},
	{unix.CLONE_NEWUTS, "uts"},
	{unix.CLONE_NEWNET, "net"},
	{unix.CLONE_NEWCGROUP, "cgroup"},
	{unix.CLONE_NEWTIME, "time"},
}

// NamespaceWords spells CLONE_NEW flags: "mnt pid ipc".
func NamespaceWords(flags uint64) string {
	s := ""
	for _, c := range cloneNames {
		if flags&c.flag != 0 {
			if s != "" {
				s += " "
			}
			s += c.name
		}
	}
	return s
}

func namespaceFlags(flags uint64) string {
	s := ""
	for _, c := range cloneNames {
		if flags&c.flag != 0 {
			if s != "" {
				s += "|"
			}
			s += cloneFlagName(c.flag)
		}
	}
	return s
}

func cloneFlagName(flag uint64) string {
	switch flag {
	case unix.CLONE_NEWNS:
		return "CLONE_NEWNS"
	case unix.CLONE_NEWUSER:
		return "CLONE_NEWUSER"
	case unix.CLONE_NEWPID:
		return "CLONE_NEWPID"
	case unix.CLONE_NEWIPC:
		return "CLONE_NEWIPC"
	case unix.CLONE_NEWUTS:
		return "CLONE_NEWUTS"
	case unix.CLONE_NEWNET:
		return "CLONE_NEWNET"
	case unix.CLONE_NEWCGROUP:
		return "CLONE_NEWCGROUP"
	}
	return "CLONE_NEWTIME"
}
