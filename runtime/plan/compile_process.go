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
	"github.com/berth-engine/berth/runtime/seccomp"
)

func (c *compiler) phaseIdentity() error {
	if err := c.checkNames(); err != nil {
		return err
	}
	s := c.spec
	var steps []Step
	if s.Hostname != "" || s.Domainname != "" {
		steps = append(steps, Hostname{s.Hostname, s.Domainname})
	}
	if c.newNS&unix.CLONE_NEWNET != 0 && c.network == 0 {
		steps = append(steps, LoopbackUp{})
	}
	sysctls, err := c.sysctlSteps()
	if err != nil {
		return err
	}
	if len(sysctls) > 0 || s.Process.ApparmorProfile != "" || s.Process.SelinuxLabel != "" {
		steps = append(steps, FreshProc{})
	}
	c.phase("identity", append(steps, sysctls...)...)
	return nil
}

// hasNamespace says whether the container has a namespace other than the
// runtime's, made or joined.
func (c *compiler) hasNamespace(t specs.LinuxNamespaceType) bool {
	return c.facts.Ours&namespaceFlag(t) == 0 &&
		slices.ContainsFunc(c.spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t })
}

func (c *compiler) sysctlSteps() ([]Step, error) {
	keys := make([]string, 0, len(c.spec.Linux.Sysctl))
	for k := range c.spec.Linux.Sysctl {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var steps []Step
	for _, k := range keys {
		v := c.spec.Linux.Sysctl[k]
		if err := c.checkSysctl(k, v); err != nil {
			return nil, err
		}
		steps = append(steps, WriteProc{"sys/" + sysctlPath(k), v, "sysctl " + k + "=" + v})
	}
	return steps, nil
}

// sysctlPath: dots separate, unless the name is written with slashes, as in
// net/ipv4/conf/eth0.1/forwarding.
func sysctlPath(key string) string {
	if strings.Contains(key, "/") {
		return key
	}
	return strings.ReplaceAll(key, ".", "/")
}

// checkSysctl lets through what belongs to a namespace of the container.
func (c *compiler) checkSysctl(key, value string) error {
	at := "linux.sysctl[" + strconv.Quote(key) + "]"
	if strings.ContainsAny(value, "\r\n\x00") {
		return fault.New(fault.Invalid, "%s: the value has a line break", at)
	}
	dots := strings.ReplaceAll(key, "/", ".")
	if strings.Contains(dots, "..") || strings.HasPrefix(dots, ".") || strings.HasSuffix(dots, ".") {
		return fault.New(fault.Invalid, "%s: not a sysctl name", at)
	}
	ns, ok := sysctlNamespace(dots)
	switch {
	case !ok:
		return fault.New(fault.Invalid, "%s: is not namespaced, it would change the host", at)
	case !c.hasNamespace(ns):
		return fault.New(fault.Invalid, "%s: needs a %s namespace of its own; without one it would change the host", at, ns)
	}
	return nil
}

func sysctlNamespace(dots string) (specs.LinuxNamespaceType, bool) {
	switch dots {
	case "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
		"kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced":
		return specs.IPCNamespace, true
	case "kernel.domainname", "kernel.hostname":
		return specs.UTSNamespace, true
	}
	switch {
	case strings.HasPrefix(dots, "fs.mqueue."):
		return specs.IPCNamespace, true
	case strings.HasPrefix(dots, "net."):
		return specs.NetworkNamespace, true
	case strings.HasPrefix(dots, "user.max_"):
		return specs.UserNamespace, true
	}
	return "", false
}

func (c *compiler) phaseMask() error {
	var steps []Step
	for _, p := range c.spec.Linux.ReadonlyPaths {
		steps = append(steps, ReadOnly{p})
	}
	for i, p := range c.spec.Linux.MaskedPaths {
		if !slices.Contains(c.spec.Linux.MaskedPaths[:i], p) {
			steps = append(steps, Mask{p})
		}
	}
	if c.spec.Root.Readonly {
		steps = append(steps, ReadOnlyTree{"/"})
	}
	c.phase("mask", steps...)
	return nil
}

func (c *compiler) phasePivot() error {
	var steps []Step
	if c.facts.parentAt(Rooted) {
		steps = append(steps, WaitFor{Rooted})
	}
	switch {
	case !c.ownMounts():
		steps = append(steps, ChangeRoot{})
	case c.facts.NoPivot:
		for _, p := range c.facts.Bare {
			steps = append(steps, CoverOld{p})
		}
		steps = append(steps, MoveRoot{})
	default:
		steps = append(steps, Pivot{c.shared})
	}
	if p := c.spec.Linux.RootfsPropagation; p != "" {
		f := mount.ParseFlags([]string{p})
		flags := f.Propagation // phaseRootfs refuses what is none
		if f.PropagationRec {
			flags |= unix.MS_REC
		}
		steps = append(steps, RootPropagation{flags})
	}
	c.phase("pivot", steps...)
	return nil
}

func (c *compiler) phaseSession() error {
	if cpu := cpusOf(c.spec); cpu != "" && c.spec.Process.Scheduler != nil && c.spec.Process.Scheduler.Policy == specs.SchedDeadline {
		return fault.New(fault.Invalid, "process.scheduler.policy: process scheduler can't be used together with AllowedCPUs: SCHED_DEADLINE and linux.resources.cpu.cpus %q", cpu)
	}
	// The caller's processors are not the container's.
	steps := []Step{Affinity{Mask: everyCPU()}}
	sched, err := schedSteps(c.spec.Process, c.spec.Linux.Personality, c.spec.Linux.MemoryPolicy)
	if err != nil {
		return err
	}
	steps = append(steps, sched...)
	if c.spec.Process.Terminal {
		steps = append(steps, UseConsole{})
	}
	if !c.facts.NoKeyring {
		steps = append(steps, NewKeyring{})
	}
	c.phase("session", append(steps, labelSteps(c.spec.Process)...)...)
	return nil
}

func cpusOf(s *specs.Spec) string {
	if s.Linux.Resources == nil || s.Linux.Resources.CPU == nil {
		return ""
	}
	return s.Linux.Resources.CPU.Cpus
}

func (c *compiler) limitSteps(p *specs.Process) ([]Step, error) {
	var steps []Step
	files := c.oldFDs
	for i, r := range p.Rlimits {
		n, ok := RlimitNumber(r.Type)
		at := "process.rlimits[" + strconv.Itoa(i) + "]"
		switch {
		case !ok:
			return nil, fault.New(fault.Invalid, "%s.type: unknown limit %q", at, r.Type)
		case r.Soft > r.Hard:
			return nil, fault.New(fault.Invalid, "%s: soft limit %d is above the hard limit %d", at, r.Soft, r.Hard)
		}
		for _, before := range p.Rlimits[:i] {
			if before.Type == r.Type {
				return nil, fault.New(fault.Invalid, "%s.type: %s stands there twice", at, r.Type)
			}
		}
		if n == unix.RLIMIT_NOFILE {
			files = nil
		}
		steps = append(steps, Rlimit{r.Type, n, r.Soft, r.Hard})
	}
	if files != nil {
		steps = append(steps, SameFDs{files})
	}
	return steps, nil
}

// RlimitNumber is the kernel's number of a resource limit: "RLIMIT_NOFILE".
func RlimitNumber(name string) (uint64, bool) {
	switch name {
	case "RLIMIT_CPU":
		return unix.RLIMIT_CPU, true
	case "RLIMIT_FSIZE":
		return unix.RLIMIT_FSIZE, true
	case "RLIMIT_DATA":
		return unix.RLIMIT_DATA, true
	case "RLIMIT_STACK":
		return unix.RLIMIT_STACK, true
	case "RLIMIT_CORE":
		return unix.RLIMIT_CORE, true
	case "RLIMIT_RSS":
		return unix.RLIMIT_RSS, true
	case "RLIMIT_NPROC":
		return unix.RLIMIT_NPROC, true
	case "RLIMIT_NOFILE":
		return unix.RLIMIT_NOFILE, true
	case "RLIMIT_MEMLOCK":
		return unix.RLIMIT_MEMLOCK, true
	case "RLIMIT_AS":
		return unix.RLIMIT_AS, true
	case "RLIMIT_LOCKS":
		return unix.RLIMIT_LOCKS, true
	case "RLIMIT_SIGPENDING":
		return unix.RLIMIT_SIGPENDING, true
	case "RLIMIT_MSGQUEUE":
		return unix.RLIMIT_MSGQUEUE, true
	case "RLIMIT_NICE":
		return unix.RLIMIT_NICE, true
	case "RLIMIT_RTPRIO":
		return unix.RLIMIT_RTPRIO, true
	case "RLIMIT_RTTIME":
		return unix.RLIMIT_RTTIME, true
	}
	return 0, false
}

// phaseReady ends the set-up, waits, and takes the rights away. A filter that
// asks a listener is installed before the wait: who creates the container
// hands the listener on.
func (c *compiler) phaseReady() error {
	ready, err := c.readySteps(c.spec.Process, true)
	if err != nil {
		return err
	}
	filter, err := compileFilter(c.spec.Linux.Seccomp, c.facts.Arch)
	if err != nil {
		return err
	}
	rights := c.privilegeSteps(c.spec.Process, filter)
	if filter != nil && filter.NotifyUsed {
		c.phase("ready", ready...)
		c.phase("privileges", rights...)
		c.phase("wait", c.waitSteps()...)
		return nil
	}
	c.phase("ready", append(ready, c.waitSteps()...)...)
	c.phase("privileges", rights...)
	return nil
}

// waitSteps are what happens between create and start.
func (c *compiler) waitSteps() []Step {
	var steps []Step
	if c.facts.parentAt(Ready) {
		steps = append(steps, WaitFor{Ready})
	}
	if c.facts.AwaitStart {
		steps = append(steps, AwaitStart{})
	}
	return steps
}

// readySteps: everything is set up but rights. All descriptors of the set-up
// go before the working directory is entered. Resource limits are the last of
// it, since a small one would make the set-up itself fail; what they allow
// needs rights, which the next phase takes.
func (c *compiler) readySteps(p *specs.Process, makeCwd bool) ([]Step, error) {
	f := c.facts
	limits, err := c.limitSteps(p)
	if err != nil {
		return nil, err
	}
	umask := uint32(0o022)
	if p.User.Umask != nil {
		umask = *p.User.Umask & 0o777
	}
	steps := []Step{
		OnlyFDs{First: 3 + f.Preserve, Start: f.AwaitStart},
		Umask{0o022},
		Chdir{p.Cwd, makeCwd},
	}
	if len(p.Args) > 0 {
		steps = append(steps, FindExecutable{p.Args[0], Executables(p)})
	}
	steps = append(append(steps, Umask{umask}, FreshSignals{}), limits...)
	// Before the parent's answer: once it has given that, it may end at any
	// moment. While we wait for it, its death is the end of what we read.
	return append(steps, DieWithParent{Off: true}), nil
}

// Executables are the paths that args[0] may be, in the order of PATH.
func Executables(p *specs.Process) []string {
	name := p.Args[0]
	if strings.Contains(name, "/") {
		return []string{name}
	}
	var paths []string
	for _, dir := range strings.Split(envValue(p.Env, "PATH", defaultPath), ":") {
		if dir == "" {
			dir = "."
		}
		paths = append(paths, path.Join(dir, name))
		if dir == "." {
			paths[len(paths)-1] = "./" + name
		}
	}
	return paths
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func envValue(env []string, key, missing string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(env[i], "="); ok && k == key {
			return v
		}
	}
	return missing
}

// privilegeSteps only ever take rights away. A filter without
// no_new_privs needs CAP_SYS_ADMIN, so that one right stays until the filter
// is in; after it nothing is called but exec, which takes it: what a program
// may is reckoned from the bounding, inheritable and ambient sets. Only where
// the container waits behind its filter, for the filter's listener, the right
// is given up before.
func (c *compiler) privilegeSteps(p *specs.Process, filter *seccomp.Filter) []Step {
	f := c.facts
	sets, warnings := capSets(p.Capabilities, f)
	c.plan.Warnings = append(c.plan.Warnings, warnings...)
	var steps []Step
	if drop := capList(f.allCaps() &^ sets.bounding); len(drop) > 0 && p.Capabilities != nil {
		steps = append(steps, DropBounding{drop})
	}
	steps = append(steps, SetIDs{UID: p.User.UID, GID: p.User.GID, Groups: p.User.AdditionalGids, MayDeny: c.dropped && len(p.User.AdditionalGids) == 0})
	if p.Cwd != "/" {
		steps = append(steps, ChdirAgain{p.Cwd})
	}
	final := SetCaps{sets.effective, sets.permitted, sets.inheritable}
	const admin = uint64(1) << capSysAdmin
	early := final
	if filter != nil && !p.NoNewPrivileges {
		early.Effective |= admin
		early.Permitted |= admin
	}
	if p.Capabilities != nil {
		steps = append(steps, early)
	}
	if ambient := capList(sets.ambient); len(ambient) > 0 {
		steps = append(steps, RaiseAmbient{ambient})
	}
	if p.NoNewPrivileges {
		steps = append(steps, NoNewPrivileges{})
	}
	if filter != nil {
		steps = append(steps, filterSteps(filter, f)...)
	}
	if early != final && p.Capabilities != nil && filter.NotifyUsed {
		steps = append(steps, final)
	}
	return steps
}

func (f *Facts) allCaps() uint64 { return 1<<(uint(f.LastCap)+1) - 1 }

type capabilitySets struct{ bounding, effective, permitted, inheritable, ambient uint64 }

func capSets(caps *specs.LinuxCapabilities, f *Facts) (s capabilitySets, warnings []string) {
	if caps == nil {
		return s, nil
	}
	c := capReader{have: f.allCaps()}
	if f.Caps != 0 {
		c.have &= f.Caps
	}
	s = capabilitySets{
		bounding: c.set(caps.Bounding), permitted: c.set(caps.Permitted), effective: c.set(caps.Effective),
		inheritable: c.set(caps.Inheritable), ambient: c.set(caps.Ambient),
	}
	if len(c.missing) > 0 {
		warnings = append(warnings, "ignoring unknown or unavailable capabilities: ["+strings.Join(c.missing, " ")+"]")
	}
	if more := s.effective &^ s.permitted; more != 0 {
		warnings = append(warnings, "process.capabilities.effective: ignoring what permitted has not: "+capWords(more))
		s.effective &= s.permitted
	}
	for _, n := range capList(s.ambient &^ (s.permitted & s.inheritable)) {
		warnings = append(warnings, "can't raise ambient capability "+capWord(n)+": it is not both permitted and inheritable")
	}
	s.ambient &= s.permitted & s.inheritable
	return s, warnings
}

// labelSteps set what the security modules do at the next exec. They come
// before the set-up's descriptors are closed, since they need procfs.
func labelSteps(p *specs.Process) []Step {
	var steps []Step
	if p.ApparmorProfile != "" {
		steps = append(steps, WriteProc{"thread-self/attr/apparmor/exec", "exec " + p.ApparmorProfile, "AppArmor profile " + p.ApparmorProfile + " at exec"})
	}
	if p.SelinuxLabel != "" {
		steps = append(steps, WriteProc{"thread-self/attr/exec", p.SelinuxLabel, "SELinux label " + p.SelinuxLabel + " at exec"})
	}
	return steps
}

// compileFilter makes the filter of a profile; nil for none.
func compileFilter(profile *specs.LinuxSeccomp, arch string) (*seccomp.Filter, error) {
	if profile == nil {
		return nil, nil
	}
	return seccomp.Compile(profile, arch)
}

// filterSteps install the filter. Its listener gets the lowest number that is
// free, and stays there until exec: after the filter nothing is called that
// need not be.
func filterSteps(filter *seccomp.Filter, f *Facts) []Step {
	if !filter.NotifyUsed {
		return []Step{Seccomp{Prog: filter.Prog, Flags: filter.Flags}}
	}
	return []Step{Seccomp{Prog: filter.Prog, Flags: filter.Flags, Listener: Listener(f.Preserve)}, WaitFor{Listening}}
}

// Listener is the child's descriptor of a filter's listener at Listening: all
// but the standard ones and those that the payload inherits are closed by then.
func Listener(preserve int) int { return 3 + preserve }

func (c *compiler) phaseExec() error {
	c.phase("exec", execStep(c.spec.Process))
	return nil
}

func execStep(p *specs.Process) Step {
	if len(p.Args) == 0 {
		return Exec{}
	}
	return Exec{Paths: Executables(p), Args: p.Args, Env: p.Env}
}
