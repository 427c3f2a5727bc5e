package plan

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
)

// Facts are what the planner must know of the machine and of this run.
type Facts struct {
	// RootPath is the absolute directory of root.path: the place where the
	// root is attached in the child's own mount namespace.
	RootPath string
	// SourceIsDir says of a bind mount's source whether it is a directory. A
	// source that is missing here counts as a directory; when that is wrong at
	// run time the kernel refuses the mount.
	SourceIsDir map[string]bool
	// Doors are the groups of cgroup v1 that the child enters by itself.
	Doors []Door
	// Cgroups are the hierarchies to show under /sys/fs/cgroup.
	Cgroups []CgroupView
	// IntoCgroup: there is a unified tree and the child is born in it.
	IntoCgroup bool
	// LastCap is the kernel's last capability.
	LastCap uint8
	// Caps are the capabilities that the runtime has itself, as bits; 0: it is
	// not known, or the child gets all of them in a user namespace.
	Caps uint64
	// Files is the runtime's own hard limit of descriptors; 0: it is not to be touched.
	Files uint64
	// Arch is the machine's GOARCH.
	Arch string
	// Preserve is how many descriptors from 3 on the payload inherits.
	Preserve int
	// AwaitStart: create and start are two commands.
	AwaitStart bool
	// ParentAt lists the points at which the parent has something to do.
	ParentAt []Point
	// NoKeyring is runc's --no-new-keyring.
	NoKeyring bool
	// Ours are namespaces to be joined that are the runtime's own: CLONE_NEW*
	// flags. What would change them is refused as if they were left out.
	Ours uint64
	// RootMount is the mount point that RootPath is in; for a shared
	// linux.rootfsPropagation.
	RootMount string
	// NoPivot enters the root by moving it, for a machine whose own root is an
	// initramfs. Bare are the procfs and sysfs mounts of the machine, which the
	// container must not find uncovered below its root then.
	NoPivot bool
	Bare    []string
	// Mapped: the runtime itself is in a user namespace, and can make no device
	// nodes.
	Mapped bool
	// SELinux: the machine has it, so that labels mean something.
	SELinux bool
	// LowerAppend: overlay takes its lower layers one by one (Linux 6.8).
	LowerAppend bool
	// NetAhead: a new network namespace is made by the parent, meanwhile, unless
	// it is to belong to a user namespace.
	NetAhead bool
}

// Door is a group that a process enters by writing to its tasks file.
type Door struct{ Name, Dir string }

// CgroupView is one hierarchy as the container sees it.
type CgroupView struct {
	Name string // directory below /sys/fs/cgroup; "" is the whole of it (cgroup v2)
	Dir  string // the container's own group on the host
	Link string // a link beside it, as cpu → cpu,cpuacct
}

func (f *Facts) parentAt(p Point) bool { return slices.Contains(f.ParentAt, p) }

// compiler holds a plan in the making.
type compiler struct {
	spec  *specs.Spec
	root  []mount.Mount
	facts *Facts
	plan  *Plan
	free  Slot
	newNS uint64 // namespaces made
	joins []join // namespaces entered

	network Slot // the network namespace that the parent makes; 0: the child does, or none

	brought map[int]Mount // by index: mounts with a tree or a map of owners of their own
	maps    []Input       // user namespaces that only have a map
	high    Slot          // next one that only the child fills

	dropped bool      // the caller's groups, by DropGroups
	shared  bool      // mounts stay tied to the machine's until the pivot
	entered bool      // the cgroups, by enterLate
	oldFDs  *[16]byte // limit of descriptors before the set-up, by moreFDs
}

type join struct {
	slot Slot
	flag uint64
	path string
}

// Compile plans a container. rootfs is its root file system; empty means the
// directory Facts.RootPath itself. What the plan consists of is verified when it
// is lowered, but for its end.
func Compile(s *specs.Spec, rootfs []mount.Mount, f Facts) (*Plan, error) {
	c := &compiler{spec: s, root: rootfs, facts: &f, plan: &Plan{}, free: FirstFree, high: FirstHigh}
	for _, step := range []func() error{
		c.checkSpec, c.namespaces, c.bring, c.inputs,
		c.phaseJoin, c.phaseRootfs, c.phaseMounts, c.phaseDevices, c.phaseIdentity, c.phaseMask,
		c.phasePivot, c.phaseSession, c.phaseReady, c.phaseExec,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c.plan, c.plan.ends()
}

func (c *compiler) phase(name string, steps ...Step) {
	if len(steps) > 0 {
		c.plan.Phases = append(c.plan.Phases, Phase{name, steps})
	}
}

// namespaceFlag maps the specification's words to clone flags.
func namespaceFlag(t specs.LinuxNamespaceType) uint64 {
	switch t {
	case specs.PIDNamespace:
		return unix.CLONE_NEWPID
	case specs.NetworkNamespace:
		return unix.CLONE_NEWNET
	case specs.MountNamespace:
		return unix.CLONE_NEWNS
	case specs.IPCNamespace:
		return unix.CLONE_NEWIPC
	case specs.UTSNamespace:
		return unix.CLONE_NEWUTS
	case specs.UserNamespace:
		return unix.CLONE_NEWUSER
	case specs.CgroupNamespace:
		return unix.CLONE_NEWCGROUP
	case specs.TimeNamespace:
		return unix.CLONE_NEWTIME
	}
	return 0
}

// NamespaceFile is the name below /proc/PID/ns of a kind of namespace, and its
// CLONE_NEW flag; empty and 0 for an unknown one.
func NamespaceFile(t specs.LinuxNamespaceType) (string, uint64) {
	flag := namespaceFlag(t)
	return NamespaceWords(flag), flag
}

func (c *compiler) namespaces() error {
	var seen uint64
	for i, ns := range c.spec.Linux.Namespaces {
		at := "linux.namespaces[" + strconv.Itoa(i) + "]"
		flag := namespaceFlag(ns.Type)
		switch {
		case flag == 0:
			return fault.New(fault.Invalid, "%s.type: unknown namespace %q", at, ns.Type)
		case ns.Path != "" && !strings.HasPrefix(ns.Path, "/"):
			return fault.New(fault.Invalid, "%s.path: %q is not an absolute path", at, ns.Path)
		case seen&flag != 0:
			return fault.New(fault.Invalid, "%s.type: %q stands there twice", at, ns.Type)
		}
		seen |= flag
		if ns.Path == "" {
			c.newNS |= flag
			continue
		}
		c.joins = append(c.joins, join{c.take(), flag, ns.Path})
	}
	c.clone()
	if seen&unix.CLONE_NEWNS == 0 {
		return c.checkUnmounted()
	}
	return nil
}

// clone decides what the child is born with. A cgroup namespace must be made
// inside the cgroup, a time namespace needs offsets first. A user namespace
// would take the child's rights at its first exec, so it is made, or entered,
// after that, and then all that is to belong to it.
func (c *compiler) clone() {
	cl := &c.plan.Clone
	cl.IntoCgroup = c.facts.IntoCgroup
	cl.IDMaps = c.newNS&unix.CLONE_NEWUSER != 0
	if !c.inUserns() {
		cl.Flags = c.newNS &^ (unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME)
	}
	if c.facts.NetAhead && cl.Flags&unix.CLONE_NEWNET != 0 {
		cl.Flags &^= unix.CLONE_NEWNET
		c.network = c.take()
	}
	// Root of the machine may enter whatever there is; afterwards the user
	// namespace allows only what belongs to it.
	slices.SortStableFunc(c.joins, func(a, b join) int { return joinRank(a.flag) - joinRank(b.flag) })
}

// joinRank: the user namespace last, just after pid, so that the container
// sees the child as late as can be.
func joinRank(flag uint64) int {
	switch flag {
	case unix.CLONE_NEWPID:
		return 1
	case unix.CLONE_NEWUSER:
		return 2
	}
	return 0
}

func (c *compiler) take() Slot {
	s := c.free
	c.free++
	return s
}

func (c *compiler) inputs() error {
	if err := c.facts.enoughFiles(); err != nil {
		return err
	}
	c.plan.Inputs = stdio(c.facts.Preserve)
	for _, j := range c.joins {
		c.input("ns:"+j.path, j.slot)
	}
	if c.network != 0 {
		c.input("net: a new network namespace, lo up,", c.network)
	}
	c.plan.Inputs = append(c.plan.Inputs, c.maps...)
	if c.facts.AwaitStart {
		c.input("start", Start)
	}
	if c.free >= Image {
		return fault.New(fault.TooLarge, "plan needs %d descriptors, more than the %d there are", c.free, MaxSlots)
	}
	return nil
}

func (c *compiler) input(what string, s Slot) {
	c.plan.Inputs = append(c.plan.Inputs, Input{What: what, FD: s.FD()})
}

func stdio(preserve int) []Input {
	in := []Input{{"stdin", 0, true}, {"stdout", 1, true}, {"stderr", 2, true}}
	for i := range preserve {
		in = append(in, Input{"preserve:" + strconv.Itoa(i), 3 + i, true})
	}
	return in
}

func (c *compiler) phaseJoin() error {
	steps := append(c.moreFDs(), DieWithParent{}, OnlyFDs{First: 3 + c.facts.Preserve, Slots: true}, EndAtExec{c.facts.AwaitStart})
	if c.enterEarly() {
		steps = append(steps, c.enterSteps()...)
	}
	if adj := c.spec.Process.OOMScoreAdj; adj != nil {
		steps = append(steps, WriteSelf{"oom_score_adj", strconv.Itoa(*adj), "oom score adjustment " + strconv.Itoa(*adj), true})
	}
	if c.inUserns() {
		steps = append(steps, c.becomeMapped()...)
	} else {
		steps = append(steps, c.stayUnmapped()...)
	}
	c.phase("join", append(steps, Session{})...)
	return nil
}

// becomeMapped goes into a user namespace: new or joined.
func (c *compiler) becomeMapped() []Step {
	c.dropped = true
	steps := append(c.bringSteps(true), DropGroups{})
	steps = append(steps, joinSteps(c.joins)...)
	if ns := c.newNS &^ unix.CLONE_NEWCGROUP; ns != 0 {
		steps = append(steps, Unshare{ns})
	}
	steps = append(steps, c.bornSteps()...)
	// Still as the user who could reach the sources on the machine.
	steps = append(append(steps, c.bringSteps(false)...), BecomeRoot{})
	if c.newNS&unix.CLONE_NEWPID != 0 || c.joinsPid() {
		steps = append(steps, Fork{}, DieWithParent{})
	}
	if c.newNS&unix.CLONE_NEWCGROUP != 0 {
		steps = append(steps, Unshare{unix.CLONE_NEWCGROUP})
	}
	return steps
}

// stayUnmapped enters namespaces as root of the machine.
func (c *compiler) stayUnmapped() []Step {
	var steps []Step
	if early := c.newNS & unix.CLONE_NEWTIME; early != 0 {
		steps = append(steps, Unshare{early})
	}
	if c.network != 0 {
		steps = append(steps, EnterNetwork{c.network})
	}
	steps = append(steps, c.bornSteps()...)
	if c.newNS&unix.CLONE_NEWCGROUP != 0 && c.enterEarly() {
		steps = append(steps, Unshare{unix.CLONE_NEWCGROUP})
	}
	steps = append(steps, joinSteps(c.joins)...)
	if c.joinsPid() {
		steps = append(steps, Fork{}, DieWithParent{})
	}
	return steps
}

// bornSteps: the namespaces that are made exist.
func (c *compiler) bornSteps() []Step {
	var steps []Step
	if c.facts.parentAt(Born) {
		steps = append(steps, WaitFor{Born})
	}
	if c.newNS&unix.CLONE_NEWTIME != 0 {
		steps = append(steps, EnterTime{})
	}
	return append(steps, Hide{})
}

func (c *compiler) joinsPid() bool {
	return slices.ContainsFunc(c.joins, func(j join) bool { return j.flag == unix.CLONE_NEWPID })
}

// enoughFiles: the slots must be allowed.
func (f *Facts) enoughFiles() error {
	if f.Files != 0 && f.Files < SlotBase+MaxSlots {
		return fault.New(fault.TooLarge, "hard limit of open descriptors (ulimit -Hn) is %d: making a container takes %d", f.Files, SlotBase+MaxSlots)
	}
	return nil
}

// moreFDs makes room for the slots; limitSteps takes it back.
func (c *compiler) moreFDs() []Step {
	if c.facts.Files == 0 {
		return nil
	}
	c.oldFDs = new([16]byte)
	return []Step{MoreFDs{c.facts.Files, c.oldFDs}}
}

// enterEarly: as a rule the child enters its groups late, so that the parent
// makes them while the child sets up its root. It cannot wait where it loses
// the right or the sight to enter: in another user or mount namespace, or when
// the parent needs it at Born.
func (c *compiler) enterEarly() bool {
	return c.inUserns() || len(c.joins) > 0 || c.facts.parentAt(Born)
}

func (c *compiler) enterSteps() []Step {
	var steps []Step
	if c.facts.parentAt(Grouped) {
		steps = append(steps, WaitFor{Grouped})
	}
	for _, d := range c.facts.Doors {
		steps = append(steps, EnterCgroup(d))
	}
	return steps
}

// enterLate are the steps that phaseJoin left for later; they come once.
func (c *compiler) enterLate() []Step {
	if c.entered || c.enterEarly() {
		return nil
	}
	c.entered = true
	steps := c.enterSteps()
	if c.newNS&unix.CLONE_NEWCGROUP != 0 {
		steps = append(steps, Unshare{unix.CLONE_NEWCGROUP})
	}
	return steps
}

func joinSteps(joins []join) []Step {
	steps := make([]Step, len(joins))
	for i, j := range joins {
		steps[i] = JoinNamespaces{j.slot, j.flag, j.path}
	}
	return steps
}

func (c *compiler) phaseRootfs() error {
	var steps []Step
	p := mount.ParseFlags([]string{c.spec.Linux.RootfsPropagation})
	switch {
	case c.spec.Linux.RootfsPropagation == "" && c.ownMounts():
		steps = append(steps, Propagation{unix.MS_SLAVE})
	case c.spec.Linux.RootfsPropagation == "":
	case p.Propagation == 0:
		return fault.New(fault.Invalid, "linux.rootfsPropagation: unknown value %q", c.spec.Linux.RootfsPropagation)
	case !c.ownMounts():
		return fault.New(fault.Invalid, "linux.rootfsPropagation: needs a mount namespace of the container's own")
	case p.Propagation == unix.MS_SHARED && c.facts.NoPivot:
		return fault.New(fault.Invalid, "linux.rootfsPropagation: %q needs pivot_root: what is taken away would go on the machine, too", c.spec.Linux.RootfsPropagation)
	case p.Propagation == unix.MS_SHARED:
		// What is bound from the machine stays tied to it, both ways. Only
		// where the root is attached that must not show.
		c.shared = true
		steps = append(steps, Untie{c.facts.RootMount})
	default:
		steps = append(steps, Propagation{unix.MS_SLAVE})
	}
	root, err := c.rootSteps()
	if err != nil {
		return err
	}
	c.phase("rootfs", append(steps, root...)...)
	return nil
}

// ownMounts says whether the mount namespace is made for the container. In
// another one nothing is changed that is not below the root, and the root is
// entered by chroot(2): pivot_root(2) would take it from everybody there.
func (c *compiler) ownMounts() bool { return c.newNS&unix.CLONE_NEWNS != 0 }

func (c *compiler) rootSteps() ([]Step, error) {
	at := c.facts.RootPath
	switch {
	case c.mountsOnMachine():
		return []Step{CloneRoot{at}, AttachRoot{at, unix.MS_PRIVATE}, PrivateRoot{}}, nil
	case !c.hasNamespace(specs.MountNamespace):
		return []Step{OpenRoot{at}}, nil
	}
	var hide []Step
	if len(c.spec.Linux.MaskedPaths) > 0 {
		hide = []Step{OpenNull{at}}
	}
	from := func(s Step) []Step { return append(append([]Step{s}, hide...), AttachRoot{at, unix.MS_PRIVATE}) }
	if len(c.root) == 0 {
		return from(CloneRoot{at}), nil
	}
	if len(c.root) > 1 {
		return nil, fault.New(fault.Invalid, "root file system of %d mounts: only one is supported", len(c.root))
	}
	m := c.root[0]
	f := mount.ParseFlags(m.Options)
	if m.Type == "bind" {
		return from(CloneRoot{m.Source}), nil
	}
	data, ok := overlayData(f.Data, c.facts.LowerAppend)
	if !ok {
		return append(hide, ClassicRoot{m.Type, m.Source, at, strings.Join(f.Data, ","), 0}), nil
	}
	n := NewMount{FS: m.Type, Source: m.Source, Data: data, Attr: f.Set, Into: Root, Work: Work, What: m.Type + " as root"}
	return from(n), nil
}

// overlayData fits options into fsconfig(2), whose strings end at 255 bytes:
// lower layers one by one where the kernel can. False: use mount(2).
func overlayData(data []string, lowerAppend bool) ([]string, bool) {
	var out []string
	for _, o := range data {
		lower, isLower := strings.CutPrefix(o, "lowerdir=")
		switch {
		case isLower && lowerAppend && !strings.Contains(lower, `\`):
			for _, l := range strings.Split(lower, ":") {
				out = append(out, "lowerdir+="+l)
			}
		default:
			out = append(out, o)
		}
	}
	for _, o := range out {
		if _, value, _ := strings.Cut(o, "="); len(value) > 255 {
			return nil, false
		}
	}
	return out, true
}

func (c *compiler) phaseMounts() error {
	var steps []Step
	for i := range c.spec.Mounts {
		s, err := c.mountSteps(i, &c.spec.Mounts[i])
		if err != nil {
			return err
		}
		if m := c.spec.Mounts[i].Type; m == "cgroup" || m == "cgroup2" {
			steps = append(steps, c.enterLate()...)
		}
		steps = append(steps, s...)
	}
	c.phase("mounts", append(steps, c.enterLate()...)...)
	return nil
}

// hasMount says whether the spec mounts something at dest itself.
func (c *compiler) hasMount(dest string) bool {
	return slices.ContainsFunc(c.spec.Mounts, func(m specs.Mount) bool { return path.Clean(m.Destination) == dest })
}

// devBound says whether /dev is the host's own, in which nothing may be made.
func (c *compiler) devBound() bool {
	for _, m := range c.spec.Mounts {
		if path.Clean(m.Destination) == "/dev" {
			return m.Type == "bind" || mount.ParseFlags(m.Options).Bind
		}
	}
	return false
}
