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

// mountSteps plans mounts[i].
func (c *compiler) mountSteps(i int, m *specs.Mount) ([]Step, error) {
	at := "mounts[" + strconv.Itoa(i) + "]"
	dest := path.Clean(m.Destination)
	if !path.IsAbs(dest) {
		// Old specifications allowed it; it is read from the root, as runc does.
		dest = path.Clean("/" + dest)
	}
	if dest == "/" {
		return nil, fault.New(fault.Invalid, "%s.destination: cannot be the root itself", at)
	}
	f := mount.ParseFlags(m.Options)
	switch {
	case f.CopyUp && m.Type != "tmpfs":
		return nil, fault.New(fault.Invalid, "%s.options: tmpcopyup is for type tmpfs", at)
	case strings.HasPrefix(dest, "/proc/") && !replaceable(dest):
		return nil, fault.New(fault.Invalid, "%s.destination: %s cannot be mounted on: it is inside /proc", at, dest)
	case dest == "/proc" && m.Type != "proc" && m.Type != "bind" && !f.Bind:
		return nil, fault.New(fault.Invalid, "%s.type: what is mounted on /proc must be of type proc, or bound from one", at)
	case (m.Type == "bind" || f.Bind) && m.Source == "":
		return nil, fault.New(fault.Invalid, "%s.source: a bind mount needs one", at)
	case m.Type == "bind" || f.Bind:
		return c.bindStep(i, dest, m, f)
	case m.Type == "":
		return nil, fault.New(fault.Invalid, "%s.type: missing, and options name neither bind nor rbind", at)
	case m.Type == "cgroup" || m.Type == "cgroup2":
		return c.cgroupSteps(i, dest, f)
	}
	step := newMountStep(dest, m, f)
	if c.labelled(m.Type) {
		step.New.Data = append(step.New.Data, "context="+c.spec.Linux.MountLabel)
	}
	step.Users, step.Fresh = c.brought[i].Users, c.freshBelow(i, dest)
	step.TakeMode = m.Type == "tmpfs" && !slices.ContainsFunc(f.Data, func(o string) bool { return strings.HasPrefix(o, "mode=") })
	return []Step{step}, nil
}

func (c *compiler) bindStep(i int, dest string, m *specs.Mount, f mount.Flags) ([]Step, error) {
	isDir, known := c.facts.SourceIsDir[m.Source]
	s, special := c.brought[i]
	if !special {
		s = bindMount(m.Source, f)
	}
	s.To, s.IsDir, s.Plain, s.Fresh = dest, isDir || !known, plainTarget(dest), c.freshBelow(i, dest)
	return []Step{s}, nil
}

// bindMount has a source and no place yet. The words of a file system, like
// mode=, mean nothing here.
func bindMount(source string, f mount.Flags) Mount {
	return Mount{Bind: true, Source: source, Flags: f}
}

// freshBelow says whether mounts[i] goes into a file system of the kernel's own
// that an earlier mount has made. Nobody can have put links there.
func (c *compiler) freshBelow(i int, dest string) bool {
	for i--; i >= 0; i-- {
		m := &c.spec.Mounts[i]
		if below, ok := strings.CutPrefix(dest, path.Clean(m.Destination)); !ok || below == "" || below[0] != '/' {
			continue
		}
		fresh := m.Type == "tmpfs" || m.Type == "sysfs" || m.Type == "cgroup" || m.Type == "cgroup2"
		return fresh && !slices.ContainsFunc(m.Options, func(o string) bool { return o == "tmpcopyup" || o == "bind" || o == "rbind" })
	}
	return false
}

// replaceable are files of procfs that may be mounted over, as lxcfs does; the
// same as runc's.
func replaceable(dest string) bool {
	switch dest {
	case "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime",
		"/proc/loadavg", "/proc/slabinfo", "/proc/net/dev", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled":
		return true
	}
	return false
}

// plainTarget: nothing in an image may lead mounts of the kernel's own file
// systems elsewhere by a link.
func plainTarget(dest string) bool { return dest == "/proc" || dest == "/sys" }

func newMountStep(dest string, m *specs.Mount, f mount.Flags) Mount {
	data := append(append([]string{}, f.Super...), f.Data...)
	n := NewMount{FS: m.Type, Source: m.Source, Data: data, Attr: f.Set, Into: Tree, Work: Work}
	if n.Source == "" {
		n.Source = m.Type
	}
	return Mount{New: n, To: dest, IsDir: true, Plain: plainTarget(dest), Flags: f}
}

// cgroupTop is where machines have their groups.
const cgroupTop = "/sys/fs/cgroup"

// cgroupSteps shows the container its own groups. On cgroup v2 that is one
// tree; on v1 it is a tmpfs with a directory for each hierarchy, as on hosts.
func (c *compiler) cgroupSteps(i int, dest string, f mount.Flags) ([]Step, error) {
	f.Data, f.Super = nil, nil
	bind := func(source, to string) Mount {
		b := f
		b.Bind, b.Named, b.Recursive = true, true, false
		return Mount{Bind: true, Source: source, To: to, IsDir: true, Flags: b, Fresh: to != dest || c.freshBelow(i, dest)}
	}
	if len(c.facts.Cgroups) == 1 && c.facts.Cgroups[0].Name == "" {
		dir := c.facts.Cgroups[0].Dir
		if !c.hasNamespace(specs.CgroupNamespace) && strings.HasPrefix(dir, cgroupTop+"/") {
			// /proc/self/cgroup has paths of the machine: they must be there.
			dir = cgroupTop
		}
		return []Step{bind(dir, dest)}, nil
	}
	holder := newMountStep(dest, &specs.Mount{Type: "tmpfs", Source: "tmpfs"}, mount.Flags{
		Set:  unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC,
		Data: []string{"mode=755"},
	})
	holder.Fresh = c.freshBelow(i, dest)
	// The names are put into the tmpfs itself: to look up each of them from the
	// root was a quarter of all calls of a plan.
	steps := []Step{holder, OpenViews{dest, Views}}
	for _, v := range c.facts.Cgroups {
		view := bind(v.Dir, path.Join(dest, v.Name))
		view.In = directly(v.Name)
		steps = append(steps, view)
		if v.Link != "" {
			steps = append(steps, Symlink{v.Name, path.Join(dest, v.Link), directly(v.Link)})
		}
	}
	// The tmpfs itself is never writable: its root could hold plain
	// directories that look like groups.
	return append(steps, ReadOnlyTree{dest}), nil
}

// directly is where a hierarchy of that name is shown, 0 for one that is mounted
// below others.
func directly(name string) Slot {
	if strings.Contains(name, "/") {
		return 0
	}
	return Views
}

// defaultDevices exist in every container; see config-linux.md, "Default Devices".
var defaultDevices = [...]struct {
	path         string
	major, minor uint32
}{
	{"/dev/null", 1, 3},
	{"/dev/zero", 1, 5},
	{"/dev/full", 1, 7},
	{"/dev/random", 1, 8},
	{"/dev/urandom", 1, 9},
	{"/dev/tty", 5, 0},
}

var defaultLinks = [...]Symlink{
	{To: "/proc/self/fd", Path: "/dev/fd"},
	{To: "/proc/self/fd/0", Path: "/dev/stdin"},
	{To: "/proc/self/fd/1", Path: "/dev/stdout"},
	{To: "/proc/self/fd/2", Path: "/dev/stderr"},
}

func (c *compiler) phaseDevices() error {
	if c.devBound() {
		return c.consolePhase(nil)
	}
	steps := []Step{Umask{0}}
	named := map[string]bool{}
	for i := range c.spec.Linux.Devices {
		d := &c.spec.Linux.Devices[i]
		s, err := c.deviceStep(i, d)
		if err != nil {
			return err
		}
		named[path.Clean(d.Path)] = true
		steps = append(steps, s)
	}
	for _, d := range defaultDevices {
		if !named[d.path] {
			steps = append(steps, c.node(d.path, unix.S_IFCHR|0o666, unix.Mkdev(d.major, d.minor), 0, 0))
		}
	}
	for _, l := range defaultLinks {
		steps = append(steps, l)
	}
	if c.hasMount("/dev/pts") && !c.hasMount("/dev/ptmx") {
		steps = append(steps, Symlink{To: "pts/ptmx", Path: "/dev/ptmx"})
	}
	return c.consolePhase(steps)
}

func (c *compiler) consolePhase(steps []Step) error {
	p := c.spec.Process
	if p.Terminal {
		steps = append(steps, OpenConsole{Root, "dev/pts/ptmx", p.User.UID, ttyGroup}, BindConsole{})
	}
	c.phase("devices", steps...)
	return nil
}

// ttyGroup owns terminals, as in devpts's gid=5.
const ttyGroup = 5

func (c *compiler) deviceStep(i int, d *specs.LinuxDevice) (Step, error) {
	at := "linux.devices[" + strconv.Itoa(i) + "]"
	p := path.Clean(d.Path)
	if !strings.HasPrefix(p, "/") || p == "/" {
		return nil, fault.New(fault.Invalid, "%s.path: %q is not an absolute path", at, d.Path)
	}
	mode := uint64(0o666)
	if d.FileMode != nil {
		mode = uint64(*d.FileMode) & 0o7777
	}
	var uid, gid uint32
	if d.UID != nil {
		uid = *d.UID
	}
	if d.GID != nil {
		gid = *d.GID
	}
	dev, err := devNumber(at, d)
	if err != nil {
		return nil, err
	}
	switch d.Type {
	case "c", "u":
		mode |= unix.S_IFCHR
	case "b":
		mode |= unix.S_IFBLK
	case "p":
		mode |= unix.S_IFIFO
	default:
		return nil, fault.New(fault.Invalid, "%s.type: unknown device type %q; c, u, b and p are known", at, d.Type)
	}
	s := c.node(p, mode, dev, uid, gid)
	if node, ok := s.(MakeNode); ok {
		node.Check = true // config-linux.md: another file there is an error
		return node, nil
	}
	return s, nil
}

// node makes a device; where a user namespace forbids mknod(2) the host's own
// node is bound instead.
func (c *compiler) node(p string, mode, dev uint64, uid, gid uint32) Step {
	if mode&unix.S_IFMT != unix.S_IFIFO && (c.inUserns() || c.facts.Mapped) {
		return Mount{Bind: true, Source: p, To: p}
	}
	return MakeNode{Path: p, Mode: mode, Dev: dev, UID: uid, GID: gid}
}

func (c *compiler) inUserns() bool {
	for _, ns := range c.spec.Linux.Namespaces {
		if ns.Type == specs.UserNamespace {
			return true
		}
	}
	return false
}
