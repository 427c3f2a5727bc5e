package plan

import (
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// JoinFacts are the Facts of a process that enters a running container.
type JoinFacts struct {
	Facts
	// Namespaces are those of the container that differ from the caller's:
	// CLONE_NEW* flags.
	Namespaces uint64
	// Seccomp is the container's own profile; nil for none.
	Seccomp *specs.LinuxSeccomp
	// Personality and MemoryPolicy are the container's, too.
	Personality  *specs.LinuxPersonality
	MemoryPolicy *specs.LinuxMemoryPolicy
	// Who names the container for people.
	Who string
}

// Join plans a further process in a container that runs: exec.
func Join(p *specs.Process, f JoinFacts) (*Plan, error) {
	if err := checkProcess(p); err != nil {
		return nil, err
	}
	if err := f.enoughFiles(); err != nil {
		return nil, err
	}
	c := &compiler{facts: &f.Facts, plan: &Plan{}, free: FirstFree}
	c.plan.Clone.IntoCgroup = f.IntoCgroup
	c.plan.Inputs = stdio(f.Preserve)
	if f.Namespaces != 0 {
		c.input("pidfd", Pidfd)
	}
	join, err := c.joinPhase(p, &f)
	if err != nil {
		return nil, err
	}
	c.phase("join", join...)
	if p.Terminal {
		c.phase("terminal", FreshRoot{}, OpenConsole{Root, "dev/pts/ptmx", p.User.UID, ttyGroup})
	}
	session, err := schedSteps(p, f.Personality, f.MemoryPolicy)
	if err != nil {
		return nil, err
	}
	if f.parentAt(Rooted) {
		session = append(session, WaitFor{Rooted})
	}
	if p.Terminal {
		session = append(session, UseConsole{})
	}
	if labels := labelSteps(p); len(labels) > 0 {
		session = append(append(session, FreshProc{}), labels...)
	}
	if !f.NoKeyring {
		session = append(session, NewKeyring{})
	}
	c.phase("session", session...)
	ready, err := c.readySteps(p, false)
	if err != nil {
		return nil, err
	}
	c.phase("ready", ready...)
	filter, err := compileFilter(f.Seccomp, f.Arch)
	if err != nil {
		return nil, err
	}
	c.phase("privileges", c.privilegeSteps(p, filter)...)
	c.phase("exec", execStep(p))
	return c.plan, c.plan.ends()
}

func (c *compiler) joinPhase(p *specs.Process, f *JoinFacts) ([]Step, error) {
	steps := append(c.moreFDs(), DieWithParent{}, OnlyFDs{First: 3 + f.Preserve, Slots: true}, EndAtExec{}, Hide{})
	groups, err := enterOn(p.ExecCPUAffinity, f.Doors)
	if err != nil {
		return nil, err
	}
	steps = append(steps, groups...)
	if adj := p.OOMScoreAdj; adj != nil {
		steps = append(steps, WriteSelf{"oom_score_adj", strconv.Itoa(*adj), "oom score adjustment " + strconv.Itoa(*adj), true})
	}
	if f.Namespaces&unix.CLONE_NEWUSER != 0 {
		c.dropped = true
		steps = append(steps, DropGroups{})
	}
	if f.Namespaces != 0 {
		steps = append(steps, JoinNamespaces{Pidfd, f.Namespaces, f.Who})
	}
	if f.Namespaces&unix.CLONE_NEWUSER != 0 {
		steps = append(steps, BecomeRoot{})
	}
	if f.Namespaces&unix.CLONE_NEWPID != 0 {
		steps = append(steps, Fork{}, DieWithParent{})
	}
	return append(steps, Session{}), nil
}

// enterOn enters the groups on the processors that are asked for before, and
// goes to those asked for afterwards. Without a word about it, the caller's
// processors are not the container's.
func enterOn(cpus *specs.CPUAffinity, doors []Door) ([]Step, error) {
	if cpus == nil {
		cpus = &specs.CPUAffinity{}
	}
	var steps []Step
	if cpus.Initial != "" {
		s, err := affinity("process.execCPUAffinity.initial", cpus.Initial)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	for _, d := range doors {
		steps = append(steps, EnterCgroup(d))
	}
	if cpus.Final != "" {
		s, err := affinity("process.execCPUAffinity.final", cpus.Final)
		if err != nil {
			return nil, err
		}
		return append(steps, s), nil
	}
	if cpus.Initial == "" {
		steps = append(steps, Affinity{Mask: everyCPU()})
	}
	return steps, nil
}

// FreshRoot opens the root of the container that was joined.
type FreshRoot struct{}

func (FreshRoot) String() string { return "open the container's root" }

// Calls implements Step.
func (FreshRoot) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_OPENAT, "openat", cwd(), text("/"), flags(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, "O_PATH|O_DIRECTORY")).into(Root))
}

// ends refuses a plan that does not end in exec. A child that becomes no
// payload has a plan of another kind.
func (p *Plan) ends() error {
	last, _ := p.At(p.Steps() - 1)
	if _, ok := last.(Exec); !ok {
		return fault.New(fault.Internal, "verify plan: it does not end in exec")
	}
	return nil
}

func newVerifier(inputs []Input) *verifier {
	v := &verifier{}
	v.filled[Sync] = true
	for _, in := range inputs {
		if in.FD >= SlotBase {
			v.filled[Slot(in.FD-SlotBase)] = true
		}
	}
	return v
}

// verifier checks what must hold for every plan: slots are filled before they
// are used, points come in order, the descriptors of the set-up are closed
// before the working directory is entered, and after the filter nothing is
// called but exec, which nothing follows; with a listener also to wait for it.
type verifier struct {
	filled           [256]bool
	point            Point
	closed, filtered bool
	listened         bool // the filter has a listener
	done             bool
}

func (v *verifier) step(s Step, calls []Call) error {
	if v.done {
		return fault.New(fault.Internal, "comes after exec")
	}
	switch s := s.(type) {
	case WaitFor:
		if s.Point <= v.point {
			return fault.New(fault.Internal, "points out of order")
		}
		v.point = s.Point
	case Mount:
		if s.Users != 0 && s.Have == 0 && !v.filled[s.Users] {
			return fault.New(fault.Internal, "the map of owners is not there")
		}
	case Bring:
		if s.Mount.Users != 0 && !v.filled[s.Mount.Users] {
			return fault.New(fault.Internal, "the map of owners is not there")
		}
	case OnlyFDs:
		v.closed = v.closed || !s.Slots
	case Chdir:
		if !v.closed {
			return fault.New(fault.Internal, "descriptors of the set-up are still open")
		}
	case Seccomp:
		v.filtered, v.listened = true, s.Listener != 0
		return v.calls(calls)
	case Exec:
		v.done = true
		return v.calls(calls)
	}
	if v.filtered && !v.allowed(s) {
		return fault.New(fault.Internal, "comes after the filter")
	}
	return v.calls(calls)
}

// allowed is what may follow the filter: with a listener also to wait for it.
func (v *verifier) allowed(s Step) bool {
	switch s.(type) {
	case SetCaps, WaitFor, AwaitStart:
		return v.listened
	}
	return false
}

func (v *verifier) calls(calls []Call) error {
	for i := range calls {
		c := &calls[i]
		if c.far {
			return fault.New(fault.TooLarge, "a path of too many directories, or too many paths")
		}
		if i+1+int(c.Skip) > len(calls) {
			return fault.New(fault.Internal, "%s skips past its step", c.Name)
		}
		for n := range c.Args() {
			if err := v.arg(c, &c.args[n]); err != nil {
				return err
			}
		}
		if c.Into != NoSlot {
			v.filled[c.Into] = true
		}
	}
	return nil
}

func (v *verifier) arg(c *Call, a *Arg) error {
	switch a.Kind {
	case InSlot:
		if !v.filled[Slot(a.N)] {
			return fault.New(fault.Internal, "%s uses empty slot %s", c.Name, Slot(a.N))
		}
	case Text:
		if strings.IndexByte(a.S, 0) >= 0 {
			return fault.New(fault.Invalid, "%s: a string has a NUL byte: %q", c.Name, a.S)
		}
	case Strings:
		for _, w := range a.More.List {
			if strings.IndexByte(w, 0) >= 0 {
				return fault.New(fault.Invalid, "process.args, process.env: a string has a NUL byte: %q", w)
			}
		}
	}
	return nil
}

// SetArgs replaces the argument list of the payload but not its path: hooks
// name both.
func (p *Plan) SetArgs(args []string) {
	last := &p.Phases[len(p.Phases)-1]
	e := last.Steps[0].(Exec)
	e.Args = args
	last.Steps = []Step{e}
}
