package cgroup

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/cgroup/systemd"
)

// unit is the systemd scope that a group is. systemd makes the directory and
// keeps its own idea of the limits, which it writes again whenever it is
// reloaded; so it must be told every limit that it has a word for.
type unit struct {
	name  string // "berth-ID.scope"
	slice string
	user  bool // the user's manager, not the machine's

	props []systemd.Property // of annotations

	hold *holder // from the scope's making until its first process
}

// unitMarks are the attributes of a scope's directory, one of which says that
// it is a unit, and whose: "system" or "user". Users may set the second kind.
var unitMarks = [...]string{"trusted.berth.unit", "user.berth.unit"}

// Scope returns the group that systemd makes as scope PREFIX-NAME.scope in a
// slice; nothing is made yet. path is "SLICE:PREFIX:NAME"; an empty slice is
// systemd's usual one, an empty path means id in it. Annotations that begin
// with AnnotationPrefix are properties of the scope.
func (l *Layout) Scope(path, id string, annotations map[string]string) (Manager, error) {
	const op = "cgroup.scope"
	if !systemd.Running() {
		return nil, fault.Op(op, "", fault.New(fault.Unsupported, "systemd not running on this host, cannot use systemd cgroups manager"))
	}
	u, err := parseUnit(path, id)
	if err != nil {
		return nil, fault.Op(op, "", err)
	}
	if u.props, err = annotated(annotations); err != nil {
		return nil, fault.Op(op, "", err)
	}
	u.user = !mighty()
	if u.slice == "" {
		u.slice = map[bool]string{true: "user.slice", false: "system.slice"}[u.user]
	}
	dirs, err := expandSlice(u.slice)
	if err != nil {
		return nil, fault.Op(op, "", err)
	}
	c, err := u.dial()
	if err != nil {
		return nil, fault.Op(op, "", err)
	}
	defer c.Close()
	base, err := c.ControlGroup()
	if err != nil {
		return nil, fault.Op(op, "", err)
	}
	m, err := l.Manager(filepath.Join("/", base, dirs, u.name))
	if err != nil {
		return nil, err
	}
	m.(*group).unit = u
	return m, nil
}

// parseUnit reads "SLICE:PREFIX:NAME".
func parseUnit(path, id string) (*unit, error) {
	if path == "" {
		path = ":berth:" + id
	}
	parts := strings.Split(path, ":")
	if len(parts) != 3 {
		return nil, fault.New(fault.Invalid, "linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got %q instead", path)
	}
	u := &unit{slice: parts[0], name: parts[2] + ".scope"}
	if parts[1] != "" {
		u.name = parts[1] + "-" + u.name
	}
	plain := strings.Trim(u.name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@") == ""
	switch {
	case parts[2] == "" || !plain || len(u.name) > 255:
		return nil, fault.New(fault.Invalid, "linux.cgroupsPath: %q is no name of a unit; see systemd.unit(5)", u.name)
	case strings.HasSuffix(parts[2], ".slice"):
		return nil, fault.New(fault.Invalid, "linux.cgroupsPath: %q: a container is a scope, not a slice", parts[2])
	}
	return u, nil
}

// expandSlice gives the directories of a slice: "a-b.slice" is in "a.slice",
// systemd.slice(5).
func expandSlice(slice string) (string, error) {
	name, ok := strings.CutSuffix(slice, ".slice")
	if ok && name == "-" {
		return "/", nil
	}
	var path, prefix string
	for part := range strings.SplitSeq(name, "-") {
		ok = ok && part != "" && !strings.ContainsAny(part, "/\x00\n")
		path += "/" + prefix + part + ".slice"
		prefix += part + "-"
	}
	if !ok {
		return "", fault.New(fault.Invalid, "linux.cgroupsPath: invalid slice name: %s", slice)
	}
	return path, nil
}

func (u *unit) dial() (*systemd.Conn, error) {
	if u.user {
		return systemd.DialUser(os.Getenv("XDG_RUNTIME_DIR"), os.Getenv("DBUS_SESSION_BUS_ADDRESS"))
	}
	return systemd.Dial()
}

// comeNear moves our own process into a scope of the user's manager if it is
// outside of all of them, as in a login session: whoever moves a process, or has
// one born elsewhere, must own the group that is above both (cgroups(7),
// "Delegation Containment"), and of a session's that is root.
func (u *unit) comeNear() error {
	c, err := u.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	base, err := c.ControlGroup()
	if err != nil {
		return err
	}
	text, err := readPath("/proc/self/cgroup")
	if err != nil {
		return err
	}
	for _, m := range parseMembership(text) {
		if m.unified && strings.HasPrefix(m.path+"/", base+"/") {
			return nil
		}
	}
	pid := os.Getpid()
	return c.StartScope("berth-oci-"+strconv.Itoa(pid)+".scope", []systemd.Property{
		{Name: "Description", Value: "berth-oci, on the way to a container's group"},
		{Name: "PIDs", Value: []uint32{uint32(pid)}},
		{Name: "CollectMode", Value: "inactive-or-failed"},
	})
}

// start makes the scope, with the holder in it.
func (u *unit) start() error {
	c, err := u.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if u.hold, err = newHolder(); err != nil {
		return fault.Op("hold", u.name, err)
	}
	err = c.StartScope(u.name, override([]systemd.Property{
		{Name: "Description", Value: "berth container " + u.name},
		{Name: "Slice", Value: u.slice},
		{Name: "Delegate", Value: true}, // what is below is not systemd's
		{Name: "PIDs", Value: []uint32{uint32(u.hold.pid())}},
		// Without these the controllers would not be there.
		{Name: "CPUAccounting", Value: true},
		{Name: "MemoryAccounting", Value: true},
		{Name: "IOAccounting", Value: true},
		{Name: "TasksAccounting", Value: true},
		{Name: "DefaultDependencies", Value: false}, // as other runtimes: their callers order the shutdown
		{Name: "CollectMode", Value: "inactive-or-failed"},
	}, u.props))
	if err != nil {
		u.settle()
	}
	return err
}

// stop ends the scope. It has no processes any more, or has to lose them.
func (u *unit) stop() error {
	u.settle()
	c, err := u.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Stop(u.name)
}

// tell writes what systemd has words for: of files, and of rules unless nil.
func (u *unit) tell(files []File, rules []Rule, v Version) error {
	c, err := u.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	props := properties(files)
	if rules != nil {
		devices, err := deviceProperties(rules, v)
		if err != nil {
			return err
		}
		props = append(props, devices...)
	}
	if len(props) == 0 {
		return nil
	}
	if slices.ContainsFunc(props, func(p systemd.Property) bool { return since(p) > 0 }) {
		version, err := c.Version()
		if err != nil {
			return err
		}
		props = slices.DeleteFunc(props, func(p systemd.Property) bool { return since(p) > version })
	}
	return c.SetProperties(u.name, props)
}

// settle lets the holder go.
func (u *unit) settle() {
	if u.hold != nil {
		u.hold.end()
		u.hold = nil
	}
}

func (g *group) Settle() {
	if g.unit != nil {
		g.unit.settle()
	}
}

// startUnit makes the scope if that has not been done yet.
func (g *group) startUnit(undo *cleanup.Stack) error {
	if g.unit == nil || g.unit.hold != nil {
		return nil
	}
	if err := g.seam.fail("systemd", "start"); err != nil {
		return err
	}
	if err := g.unit.start(); err != nil {
		return err
	}
	undo.Add(g.unit.stop)
	return g.markUnit()
}

// markUnit leaves word for who opens the group later.
func (g *group) markUnit() error {
	whose := "system"
	if g.unit.user {
		whose = "user"
	}
	err := error(unix.ENOENT)
	for i := range g.trees {
		for _, mark := range unitMarks {
			// In one of the trees the directory is systemd's; it may be in others.
			if e := unix.Setxattr(g.trees[i].path, mark, []byte(whose), 0); e == nil {
				return nil
			} else if !errors.Is(e, unix.ENOENT) {
				err = e
			}
		}
	}
	return fault.Op("mark", g.unit.name, err)
}

// findUnit is what Scope knew, read from the mark. A group that is gone has
// no unit either: systemd collects it when its last process ends.
func (g *group) findUnit() *unit {
	name := filepath.Base(g.name())
	if g.unit != nil || !strings.HasSuffix(name, ".scope") {
		return g.unit
	}
	var value [8]byte
	for i := range g.trees {
		for _, mark := range unitMarks {
			if n, err := unix.Getxattr(g.trees[i].path, mark, value[:]); err == nil {
				return &unit{name: name, user: string(value[:n]) == "user"}
			}
		}
	}
	return nil
}

// tellUnit tells systemd of changes before they are written. While it works
// on v1 it takes all devices away for a moment, which nobody must see.
func (g *group) tellUnit(u *unit, w work, r *specs.LinuxResources) error {
	if u == nil {
		return nil
	}
	if err := g.seam.fail("systemd", "set"); err != nil {
		return err
	}
	v, rules := V2, w.rules
	devices := g.find("devices")
	if devices != nil {
		v = V1
	}
	if rules == nil && devices != nil && slices.ContainsFunc(w.files, func(f File) bool { return f.Controller == "devices" }) {
		rules, _ = DeviceRules(r.Devices) // compile has looked for errors
	}
	files, err := g.inFull(w.files)
	if err != nil {
		return err
	}
	if v == V2 {
		return u.tell(files, rules, v)
	}
	return g.whileFrozen(func() error { return u.tell(files, rules, v) })
}

// inFull adds to files what an update does not name and systemd must know
// with it: quota and period are one number for it.
func (g *group) inFull(files []File) ([]File, error) {
	t := g.find("cpu")
	has := func(name string) int { return slices.IndexFunc(files, func(f File) bool { return f.Name == name }) }
	max, quota, period := has("cpu.max"), has("cpu.cfs_quota_us"), has("cpu.cfs_period_us")
	other := ""
	switch {
	case max >= 0 && !strings.Contains(files[max].Text, " "):
		other = "cpu.max"
	case quota >= 0 && period < 0:
		other = "cpu.cfs_period_us"
	case period >= 0 && quota < 0:
		other = "cpu.cfs_quota_us"
	default:
		return files, nil
	}
	d := g.dir(t.path)
	defer d.close()
	text, err := d.read(other)
	if err != nil {
		return nil, fault.Op("read "+other, t.path, err)
	}
	text = strings.TrimSpace(text)
	out := slices.Clone(files)
	if max >= 0 {
		_, text, _ = strings.Cut(text, " ")
		out[max].Text += " " + text
		return out, nil
	}
	return append(out, File{Controller: "cpu", Name: other, Text: text}), nil
}

// holder is a process that does nothing: systemd makes no scope without one,
// and the container's own may have to be born in it.
type holder struct {
	cmd  *exec.Cmd
	lead io.Closer // it ends when this is closed, by us or with us
}

// holdWord is the first argument of a holder.
const holdWord = "hold-scope"

// Hold reports whether args are those of a holder, and then has been it: the
// program was started by itself, and should end.
func Hold(args []string) bool {
	if len(args) != 2 || args[1] != holdWord {
		return false
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return true
}

func newHolder() (*holder, error) {
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{os.Args[0], holdWord}, Dir: "/", Env: []string{}}
	lead, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return &holder{cmd, lead}, cmd.Start()
}

func (h *holder) pid() int { return h.cmd.Process.Pid }

func (h *holder) end() {
	_ = h.lead.Close()
	_ = h.cmd.Process.Kill() // it may be frozen or not have begun; it is ours until waited for
	_ = h.cmd.Wait()
}
