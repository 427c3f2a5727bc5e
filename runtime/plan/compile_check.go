package plan

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/resctrl"
)

// This file refuses values that the kernel, or a later command, would refuse
// when half of the container is made.

func (c *compiler) checkSpec() error {
	s := c.spec
	switch {
	case s.Linux == nil:
		return fault.New(fault.Invalid, "linux: missing; this runtime makes Linux containers")
	case s.Process == nil:
		return fault.New(fault.Invalid, "process: missing; nothing to run")
	case s.Root == nil || s.Root.Path == "":
		return fault.New(fault.Invalid, "root.path: missing")
	case s.Linux.IntelRdt != nil:
		if err := resctrl.Check(s.Linux.IntelRdt); err != nil {
			return err
		}
	}
	for _, check := range []func() error{c.checkOffsets, c.checkHooks, c.checkNetDevices} {
		if err := check(); err != nil {
			return err
		}
	}
	if s.Process.ExecCPUAffinity != nil { // for later; wrong already now
		if _, err := enterOn(s.Process.ExecCPUAffinity, nil); err != nil {
			return err
		}
	}
	if c.noProcess() {
		return nil
	}
	return checkProcess(s.Process)
}

// noProcess: a container can be created without a process, runtime.md,
// "Create". It waits for a start that is going to be refused.
func (c *compiler) noProcess() bool { return len(c.spec.Process.Args) == 0 && c.facts.AwaitStart }

func checkProcess(p *specs.Process) error {
	for i, e := range p.Env {
		if strings.IndexByte(e, '=') < 1 {
			return fault.New(fault.Invalid, "process.env[%d]: %q is not NAME=VALUE", i, e)
		}
	}
	switch {
	case len(p.Args) == 0 || p.Args[0] == "":
		return fault.New(fault.Invalid, "process.args: must name a program")
	case !strings.HasPrefix(p.Cwd, "/"):
		return fault.New(fault.Invalid, "process.cwd: %q is not an absolute path", p.Cwd)
	case p.OOMScoreAdj != nil && (*p.OOMScoreAdj < -1000 || *p.OOMScoreAdj > 1000):
		return fault.New(fault.Invalid, "process.oomScoreAdj: %d is not between -1000 and 1000", *p.OOMScoreAdj)
	}
	return nil
}

// maxName is __NEW_UTS_LEN, uname(2).
const maxName = 64

func (c *compiler) checkNames() error {
	for _, n := range []struct{ field, name string }{{"hostname", c.spec.Hostname}, {"domainname", c.spec.Domainname}} {
		switch {
		case n.name == "":
		case len(n.name) > maxName:
			return fault.New(fault.Invalid, "%s: longer than %d bytes", n.field, maxName)
		case !c.hasNamespace(specs.UTSNamespace):
			return fault.New(fault.Invalid, "%s: needs a uts namespace of its own; without one it would rename the host", n.field)
		}
	}
	return nil
}

func (c *compiler) checkOffsets() error {
	offsets := c.spec.Linux.TimeOffsets
	if len(offsets) == 0 {
		return nil
	}
	made := false
	for _, ns := range c.spec.Linux.Namespaces {
		made = made || ns.Type == specs.TimeNamespace && ns.Path == ""
	}
	if !made {
		return fault.New(fault.Invalid, "linux.timeOffsets: there is no new time namespace in linux.namespaces that they could be for")
	}
	for clock, o := range offsets {
		switch {
		case clock != "monotonic" && clock != "boottime":
			return fault.New(fault.Invalid, "linux.timeOffsets[%q]: unknown clock; monotonic and boottime are known", clock)
		case o.Nanosecs >= 1e9:
			return fault.New(fault.Invalid, "linux.timeOffsets[%q].nanosecs: %d is a second or more", clock, o.Nanosecs)
		}
	}
	return nil
}

func (c *compiler) checkHooks() error {
	h := c.spec.Hooks
	if h == nil {
		return nil
	}
	for _, kind := range []struct {
		name  string
		hooks []specs.Hook
	}{
		//lint:ignore SA1019 prestart hooks are deprecated and must still run
		{"prestart", h.Prestart},
		{"createRuntime", h.CreateRuntime},
		{"createContainer", h.CreateContainer},
		{"startContainer", h.StartContainer},
		{"poststart", h.Poststart},
		{"poststop", h.Poststop},
	} {
		for i, hook := range kind.hooks {
			at := "hooks." + kind.name + "[" + strconv.Itoa(i) + "]"
			switch {
			case !strings.HasPrefix(hook.Path, "/"):
				return fault.New(fault.Invalid, "%s.path: %q is not an absolute path", at, hook.Path)
			case hook.Timeout != nil && *hook.Timeout <= 0:
				return fault.New(fault.Invalid, "%s.timeout: %d is not greater than zero", at, *hook.Timeout)
			}
		}
	}
	return nil
}

// checkNumber refuses what is no half of a device number; see makedev(3).
func checkNumber(at string, n int64) error {
	if n < 0 || n > 1<<32-1 {
		return fault.New(fault.Invalid, "%s: %d is no device number", at, n)
	}
	return nil
}

// labelled says whether a file system takes the label of the container's
// mounts: those of the kernel's own have labels by policy.
func (c *compiler) labelled(fs string) bool {
	switch fs {
	case "proc", "sysfs", "mqueue", "cgroup", "cgroup2":
		return false
	}
	return c.facts.SELinux && c.spec.Linux.MountLabel != ""
}

// devNumber of a device; a FIFO has none, and what stands there is ignored.
func devNumber(at string, d *specs.LinuxDevice) (uint64, error) {
	if d.Type == "p" {
		return 0, nil
	}
	if err := checkNumber(at+".major", d.Major); err != nil {
		return 0, err
	}
	if err := checkNumber(at+".minor", d.Minor); err != nil {
		return 0, err
	}
	return unix.Mkdev(uint32(d.Major), uint32(d.Minor)), nil
}

// checkNetDevices: a device keeps its name, or gets one that nobody else has.
func (c *compiler) checkNetDevices() error {
	devices := c.spec.Linux.NetDevices
	if len(devices) == 0 {
		return nil
	}
	if !c.hasNamespace(specs.NetworkNamespace) {
		return fault.New(fault.Invalid, "linux.netDevices: needs a network namespace of its own; without one there is nowhere to move to")
	}
	taken := map[string]string{}
	for name, d := range devices {
		at := "linux.netDevices[" + strconv.Quote(name) + "]"
		to := cmp.Or(d.Name, name)
		switch other, twice := taken[to]; {
		case !validDevice(name):
			return fault.New(fault.Invalid, "%s: not a name of a network device", at)
		case !validDevice(to):
			return fault.New(fault.Invalid, "%s.name: %q is not a name of a network device", at, to)
		case to == "lo":
			return fault.New(fault.Invalid, "%s: lo is in every network namespace", at)
		case twice:
			return fault.New(fault.Invalid, "%s.name: %q is the name of %q, too", at, to, other)
		}
		taken[to] = name
	}
	return nil
}

// validDevice is the kernel's dev_valid_name.
func validDevice(name string) bool {
	return name != "" && len(name) < unix.IFNAMSIZ && name != "." && name != ".." && !strings.ContainsAny(name, "/: \t\n\v\f\r\x00%")
}

// checkUnmounted: without a mount namespace the container's mounts are made on
// the machine, below its root, which is attached for it. What hides and protects
// parts of the machine would leave an empty directory there, and is of no use to
// whoever sees the machine itself; runc refuses it, too. Root of a user
// namespace may not mount in the machine's tree.
func (c *compiler) checkUnmounted() error {
	s := c.spec
	for _, w := range []struct {
		field string
		there bool
	}{
		{"linux.maskedPaths", len(s.Linux.MaskedPaths) > 0},
		{"linux.readonlyPaths", len(s.Linux.ReadonlyPaths) > 0},
		{"root.path with mounts of its own", len(c.root) > 0},
		{"mounts, in a user namespace", c.inUserns() && len(s.Mounts) > 0},
		{"root.readonly, in a user namespace", c.inUserns() && s.Root.Readonly},
		{"process.terminal, in a user namespace", c.inUserns() && s.Process.Terminal},
	} {
		if w.there {
			return fault.New(fault.Invalid, "%s: needs a mount namespace, and linux.namespaces has none", w.field)
		}
	}
	if c.mountsOnMachine() {
		c.plan.Warnings = append(c.plan.Warnings, "linux.namespaces has no mount namespace: the container's mounts are the machine's, too, until it is deleted")
	}
	return nil
}

// mountsOnMachine: something is mounted, and not in a namespace of its own.
func (c *compiler) mountsOnMachine() bool {
	s := c.spec
	return !c.hasNamespace(specs.MountNamespace) && (len(s.Mounts) > 0 || s.Root.Readonly || s.Process.Terminal)
}
