package oci

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/internal/under"
	"github.com/berth-engine/berth/runtime/cgroup"
	"github.com/berth-engine/berth/runtime/plan"
	"github.com/berth-engine/berth/runtime/resctrl"
)

// RootfsFile stands beside config.json when the root is to be mounted by the
// container itself: a JSON list of mount.Mount.
const RootfsFile = "rootfs.json"

// Bundle is a loaded bundle directory.
type Bundle struct {
	Dir    string // absolute
	Spec   *specs.Spec
	Root   string // absolute path of root.path
	Mounts []mount.Mount

	text []byte // config.json
}

// LoadBundle reads config.json and, if there is one, rootfs.json.
func LoadBundle(dir string) (*Bundle, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Dir: abs}
	name := filepath.Join(abs, "config.json")
	if b.text, err = disk.ReadInto(nil, name); err != nil {
		return nil, err
	}
	if b.Spec, err = parseSpec(name, b.text); err != nil {
		return nil, err
	}
	b.Root = b.Spec.Root.Path
	if !filepath.IsAbs(b.Root) {
		b.Root = filepath.Join(abs, b.Root)
	}
	err = disk.ReadJSON(filepath.Join(abs, RootfsFile), &b.Mounts)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if info, err := os.Stat(b.Root); err != nil {
		return nil, fault.New(fault.Invalid, "root.path: %w", err)
	} else if !info.IsDir() {
		return nil, fault.New(fault.Invalid, "root.path: %s is not a directory", b.Root)
	}
	// A link in the path must not move the root between planning and doing.
	if b.Root, err = filepath.EvalSymlinks(b.Root); err != nil {
		return nil, err
	}
	return b, nil
}

func readSpec(path string) (*specs.Spec, error) {
	data, err := disk.ReadInto(nil, path)
	if err != nil {
		return nil, err
	}
	return parseSpec(path, data)
}

// ReadProcess reads the file that exec --process names.
func ReadProcess(path string) (*specs.Process, error) {
	data, err := disk.ReadInto(nil, path)
	if err != nil {
		return nil, err
	}
	return ParseProcess(path, data)
}

// ReadBundleProcess reads the process of a bundle's specification, and not the
// rest, whose larger part is about system calls. It is nil if there is none.
func ReadBundleProcess(dir string) (*specs.Process, error) {
	name := filepath.Join(dir, "config.json")
	data, err := disk.ReadInto(nil, name)
	if err != nil {
		return nil, err
	}
	var s specs.Spec
	quick := jsontext.Try(data, &s, func(r *jsontext.Reader, s *specs.Spec) {
		for key := range r.Object() {
			if key != "process" {
				r.Skip()
				continue
			}
			s.Process = new(specs.Process)
			readProcess(r, s.Process)
		}
	})
	if !quick {
		if err := json.Unmarshal(data, &s); err != nil {
			return nil, fault.New(fault.Damaged, "read %s: %w", name, err)
		}
	}
	return s.Process, nil
}

// checkSpec makes sure of what everything else takes for granted.
func checkSpec(path string, s *specs.Spec) error {
	switch {
	case s.Root == nil || s.Root.Path == "":
		return fault.New(fault.Invalid, "%s: root.path: missing", path)
	case s.Process == nil: // enough for create; start refuses
		s.Process = &specs.Process{Cwd: "/"}
	case len(s.Process.Args) == 0:
		return fault.New(fault.Invalid, "%s: process.args: must name a program", path)
	}
	if s.Linux == nil {
		return fault.New(fault.Invalid, "%s: linux: missing; this runtime makes Linux containers", path)
	}
	return nil
}

// facts gathers what planning needs to know of the machine and of the request.
func (b *Bundle) facts(m cgroup.Manager, caches *resctrl.Group, req *CreateRequest) plan.Facts {
	f := plan.Facts{
		RootPath: b.Root, LastCap: kernel.LastCap(), Caps: ownCaps(b.Spec), Files: kernel.FileLimit(), Arch: runtime.GOARCH,
		SourceIsDir: b.sources(), Cgroups: cgroupViews(m),
		Preserve: len(req.Preserve), AwaitStart: !req.Start, NoKeyring: req.NoKeyring,
		ParentAt: parentPoints(b.Spec),
	}
	f.Mapped = kernel.Mapped()
	f.SELinux = b.Spec.Linux.MountLabel != "" && kernel.SELinux()
	f.Doors, f.IntoCgroup = doors(m)
	f.Doors = append(f.Doors, resctrlDoors(caches)...)
	if len(f.Doors) > 0 { // the parent makes them meanwhile
		f.ParentAt = append([]plan.Point{plan.Grouped}, f.ParentAt...)
	}
	f.LowerAppend = slices.ContainsFunc(b.Mounts, func(m mount.Mount) bool { return m.Type == "overlay" }) && kernel.LowerAppend()
	if f.AwaitStart || len(startHooks(b.Spec, req)) > 0 {
		f.ParentAt = append(f.ParentAt, plan.Ready)
	}
	return f
}

// doors names the v1 groups that the child enters by itself, and says whether
// it is born in one of the unified tree.
func doors(m cgroup.Manager) (doors []plan.Door, unified bool) {
	paths := m.Paths()
	for name, dir := range paths {
		if d := (plan.Door{Name: doorName(dir), Dir: dir}); name != "" && dir != paths[""] && !slices.Contains(doors, d) {
			doors = append(doors, d)
		}
	}
	slices.SortFunc(doors, func(a, b plan.Door) int { return strings.Compare(a.Name, b.Name) })
	_, unified = paths[""]
	return doors, unified
}

// sources looks at what bind mounts bring in, and makes relative ones relative
// to the bundle.
func (b *Bundle) sources() map[string]bool {
	isDir := map[string]bool{}
	for i := range b.Spec.Mounts {
		m := &b.Spec.Mounts[i]
		if m.Type != "bind" && !mount.ParseFlags(m.Options).Bind {
			continue
		}
		if m.Source != "" && !filepath.IsAbs(m.Source) {
			m.Source = filepath.Join(b.Dir, m.Source)
		}
		if info, err := os.Stat(m.Source); err == nil {
			isDir[m.Source] = info.IsDir()
		}
	}
	return isDir
}

// cgroupViews turns a manager's paths into what is shown in the container.
func cgroupViews(m cgroup.Manager) []plan.CgroupView {
	paths := m.Paths()
	_, unified := paths[""]
	byDir := map[string][]string{}
	for name, dir := range paths {
		if name != "" {
			byDir[dir] = append(byDir[dir], name)
		}
	}
	if unified && (len(byDir) == 0 || len(byDir) == 1 && byDir[paths[""]] != nil) {
		return []plan.CgroupView{{Dir: paths[""]}}
	}
	var views []plan.CgroupView
	for dir, names := range byDir {
		if dir == paths[""] {
			continue // controllers of the unified tree of a hybrid
		}
		slices.Sort(names)
		name := strings.TrimPrefix(strings.Join(names, ","), "name=")
		views = append(views, plan.CgroupView{Name: name, Dir: dir})
	}
	if unified {
		views = append(views, plan.CgroupView{Name: "unified", Dir: paths[""]})
	}
	slices.SortFunc(views, func(a, b plan.CgroupView) int { return strings.Compare(a.Name, b.Name) })
	return views
}

// parentPoints are the points at which the runtime itself has work.
func parentPoints(s *specs.Spec) []plan.Point {
	var points []plan.Point
	if s.Linux != nil && (makesNamespace(s, specs.UserNamespace) || len(s.Linux.TimeOffsets)+len(s.Linux.NetDevices) > 0) {
		points = append(points, plan.Born)
	}
	//lint:ignore SA1019 prestart hooks are deprecated and must still run
	if s.Hooks != nil && len(s.Hooks.Prestart)+len(s.Hooks.CreateRuntime)+len(s.Hooks.CreateContainer) > 0 || s.Process != nil && s.Process.Terminal {
		points = append(points, plan.Rooted)
	}
	return points
}

// setHome makes every variable unique, the last one counting, and gives the
// process a HOME when it has none, as all runtimes do.
func setHome(p *specs.Process, root string) {
	last := make(map[string]int, len(p.Env))
	for i, e := range p.Env {
		last[envName(e)] = i
	}
	env := make([]string, 0, len(p.Env)+1)
	home := false
	for i, e := range p.Env {
		switch {
		case last[envName(e)] != i, e == "HOME=":
		default:
			home = home || strings.HasPrefix(e, "HOME=")
			env = append(env, e)
		}
	}
	if !home {
		env = append(env, "HOME="+homeOf(p.User.UID, root))
	}
	p.Env = env
}

func envName(e string) string {
	name, _, _ := strings.Cut(e, "=")
	return name
}

// homeOf reads etc/passwd below root; a user without an entry has "/".
func homeOf(uid uint32, root string) string {
	dir, err := under.OpenRoot(root)
	if err != nil {
		return "/"
	}
	defer dir.Close()
	data, err := dir.ReadFile("etc/passwd", 1<<20)
	if err != nil {
		return "/"
	}
	return passwdHome(string(data), uid)
}

func passwdHome(passwd string, uid uint32) string {
	want := utoa(uid)
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) >= 6 && f[2] == want && strings.HasPrefix(f[5], "/") {
			return f[5]
		}
	}
	return "/"
}

// namespacesApart returns the CLONE_NEW flags of the namespaces in which pid
// is not together with us.
func namespacesApart(pid int) (uint64, error) {
	var apart uint64
	for _, ns := range [...]struct {
		name string
		flag uint64
	}{
		{"user", unix.CLONE_NEWUSER},
		{"mnt", unix.CLONE_NEWNS},
		{"pid", unix.CLONE_NEWPID},
		{"ipc", unix.CLONE_NEWIPC},
		{"uts", unix.CLONE_NEWUTS},
		{"net", unix.CLONE_NEWNET},
		{"cgroup", unix.CLONE_NEWCGROUP},
		{"time", unix.CLONE_NEWTIME},
	} {
		var ours, theirs unix.Stat_t
		if err := unix.Stat("/proc/self/ns/"+ns.name, &ours); err != nil {
			continue // this kernel has no such namespace
		}
		if err := unix.Stat("/proc/"+utoa(uint32(pid))+"/ns/"+ns.name, &theirs); err != nil {
			return 0, fault.New(fault.NotRunning, "namespaces of process %d: %w", pid, err)
		}
		if ours.Dev != theirs.Dev || ours.Ino != theirs.Ino {
			apart |= ns.flag
		}
	}
	return apart, nil
}
