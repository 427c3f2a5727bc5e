package cgroup

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// mark is the extended attribute of directories that berth made above a
// container's own. Only those are removed when they get empty.
const mark = "trusted.berth"

// tries bounds the race with another container's Remove, which may take away
// the parent that we found or just made.
const tries = 100

func (g *group) Create(r *specs.LinuxResources) error {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	undo := cleanup.New()
	if err := g.createAll(r, undo); err != nil {
		return fault.Op("cgroup.create", g.name(), errors.Join(err, undo.Run()))
	}
	undo.Release()
	return nil
}

func (g *group) createAll(r *specs.LinuxResources, undo *cleanup.Stack) error {
	if g.unit != nil && g.unit.hold != nil { // by Begin
		undo.Add(g.unit.stop)
	}
	w, err := g.compile(r, false)
	if err != nil {
		return err
	}
	dirs, done := g.dirs()
	defer done()
	if err := g.startUnit(undo); err != nil {
		return err
	}
	if err := g.create(w, dirs, undo); err != nil {
		return err
	}
	if err := g.tellUnit(g.unit, w, r); err != nil {
		return err
	}
	return g.limit(w, dirs)
}

func (g *group) Begin() error {
	const op = "cgroup.begin"
	t := g.unified()
	if t == nil {
		return nil
	}
	undo := cleanup.New()
	d := g.dir(t.path)
	defer d.close()
	err := g.startUnit(undo)
	made := false
	if err == nil {
		made, err = g.makeLeaf(t, d, undo)
	}
	if err == nil && !made {
		err = g.vacant(t)
	}
	if err == nil {
		undo.Release()
		g.begun = true
		return nil
	}
	return fault.Op(op, t.path, errors.Join(err, undo.Run()))
}

func (g *group) create(w work, dirs []*dir, undo *cleanup.Stack) error {
	for i := range g.trees {
		t := &g.trees[i]
		made, err := g.makeLeaf(t, dirs[i], undo)
		if err != nil {
			return err
		}
		if !made && !(t.unified && g.begun) {
			if err := g.vacant(t); err != nil {
				return err
			}
		}
		if err := g.thawed(t, dirs[i]); err != nil {
			return err
		}
		needed := func(f File) bool { return g.target(f.Controller) == t }
		if t.unified && (g.pure() || slices.ContainsFunc(w.files, needed)) {
			if err := g.handDown(t, w.files, dirs[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// limit writes every limit of a new group.
func (g *group) limit(w work, dirs []*dir) error {
	if err := g.apply(w.files, dirs); err != nil {
		return err
	}
	if w.rules == nil || effective(w.rules)[0].Allow {
		return nil
	}
	err := g.confine(w.rules, dirs[len(dirs)-1])
	if errors.Is(err, unix.EPERM) && !mighty() {
		return nil // who cannot load a filter can neither make device nodes
	}
	return err
}

// mighty reports whether we are root of the machine, not of a user namespace.
func mighty() bool { return unix.Geteuid() == 0 && !kernel.Mapped() }

// makeLeaf makes the container's directory in one tree. made is false if it
// was there. A neighbour may remove what is above it, when that is empty, at
// any moment before.
func (g *group) makeLeaf(t *tree, d *dir, undo *cleanup.Stack) (made bool, err error) {
	for range tries {
		made, err = g.mkdir(t, d, undo)
		if !errors.Is(err, unix.ENOENT) {
			return made, err
		}
		err = g.makeParent(t, filepath.Dir(t.path), undo)
		if err != nil && !gone(err) {
			return false, err
		}
	}
	return false, err
}

// makeParent makes what is missing above the container's directory.
func (g *group) makeParent(t *tree, path string, undo *cleanup.Stack) error {
	d := g.dir(path)
	defer d.close()
	made, err := g.mkdir(t, d, undo)
	if errors.Is(err, unix.ENOENT) && path != "/" {
		if err := g.makeParent(t, filepath.Dir(path), undo); err != nil {
			return err
		}
		made, err = g.mkdir(t, d, undo)
	}
	if made && err == nil {
		// Without the mark (no privilege, old kernel) the directory stays.
		_ = unix.Setxattr(path, mark, []byte{'1'}, 0)
	}
	return err
}

// mkdir makes one group fit for use and registers its removal.
func (g *group) mkdir(t *tree, d *dir, undo *cleanup.Stack) (bool, error) {
	path := d.path
	if err := g.seam.fail("mkdir", path); err != nil {
		return false, fault.Op("mkdir", path, err)
	}
	_, err := kernel.Retry(func() (int, error) { return 0, unix.Mkdir(path, 0o755) })
	if errors.Is(err, unix.EEXIST) {
		return false, nil
	}
	if err != nil {
		return false, fault.Op("mkdir", path, err)
	}
	undo.Add(func() error { return unmake(path) })
	if t.has("cpuset") && !t.unified {
		if err := g.inherit(d); err != nil {
			return true, err
		}
	}
	return true, nil
}

// unmake removes a directory of ours unless somebody moved in.
func unmake(path string) error {
	_, err := kernel.Retry(func() (int, error) { return 0, unix.Rmdir(path) })
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOTEMPTY) {
		return nil
	}
	return fault.Op("rmdir", path, err)
}

// inherit fills an empty v1 cpuset from its parent, the parent first if that
// is empty too: nobody can enter a group without CPUs.
func (g *group) inherit(to *dir) error {
	from := g.dir(filepath.Dir(to.path))
	defer from.close()
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		text, err := from.read(name)
		if err != nil {
			return fault.Op("read "+name, from.path, err)
		}
		if strings.TrimSpace(text) == "" {
			if err := g.inherit(from); err != nil {
				return err
			}
			if text, err = from.read(name); err != nil {
				return fault.Op("read "+name, from.path, err)
			}
		}
		if err := to.write(name, strings.TrimSpace(text)); err != nil {
			return fault.Op("write "+name, to.path, err)
		}
	}
	return nil
}

// vacant refuses a group that was there and has processes: they would be
// under the container's limits and die with it.
func (g *group) vacant(t *tree) error {
	pids, err := g.pidsIn(t)
	if err != nil {
		return err
	}
	if g.unit != nil && g.unit.hold != nil {
		pids = slices.DeleteFunc(pids, func(pid int) bool { return pid == g.unit.hold.pid() })
	}
	if len(pids) > 0 {
		return fault.New(fault.Conflict, "container's cgroup is not empty: %d processes in %s", len(pids), t.path)
	}
	return nil
}

// thawed refuses a frozen group, also one that is new and has its frost from
// above: the container would hang before its first instruction.
func (g *group) thawed(t *tree, d *dir) error {
	frozen, err := frost(t, d)
	if err != nil {
		return err
	}
	if frozen {
		return fault.New(fault.Conflict, "container's cgroup unexpectedly frozen: thaw %s first", t.path)
	}
	return nil
}

// handDown switches the controllers on for the container's directory in the
// unified tree, from the top down. Only those that a limit needs must be had.
func (g *group) handDown(t *tree, files []File, d *dir) error {
	if len(t.controllers) == 0 {
		return nil
	}
	text, err := d.read("cgroup.controllers")
	if err != nil {
		return fault.Op("read cgroup.controllers", t.path, err)
	}
	if len(missing(t.controllers, text)) == 0 {
		return settle(d)
	}
	refused := g.enable(filepath.Dir(t.path), missing(t.controllers, text))
	if refused == nil {
		return nil
	}
	if text, err = d.read("cgroup.controllers"); err != nil {
		return fault.Op("read cgroup.controllers", t.path, err)
	}
	out := missing(t.controllers, text)
	for _, f := range files {
		if g.target(f.Controller) == t && slices.Contains(out, f.Controller) && !f.Optional {
			return fault.Op("linux.resources."+f.Field, "", refused)
		}
	}
	return nil
}

// settle waits for somebody else who is just switching controllers on above
// us. The kernel lists them before it has made their files, and reads the list
// without its lock; a write takes the lock, also one that changes nothing. A
// group in which we may not even do that has been prepared by others before.
func settle(d *dir) error {
	err := d.write("cgroup.subtree_control", " ")
	if err == nil || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return nil
	}
	return fault.Op("write cgroup.subtree_control", d.path, err)
}

// enable makes path give controllers to its children, after making sure that
// its own parent gives them to it. It does what it can and returns the
// uppermost refusal.
func (g *group) enable(path string, controllers []string) (refused error) {
	d := g.dir(path)
	defer d.close()
	text, err := d.read("cgroup.controllers")
	if err != nil {
		return fault.Op("read cgroup.controllers", path, err)
	}
	if out := missing(controllers, text); len(out) > 0 && path != "/" {
		refused = g.enable(filepath.Dir(path), out)
	}
	all := "+" + strings.Join(controllers, " +")
	if err := d.write("cgroup.subtree_control", all); err == nil {
		return refused
	}
	for _, c := range controllers {
		err := d.write("cgroup.subtree_control", "+"+c)
		switch {
		case refused != nil: // from further up: there the reason is
		case errors.Is(err, unix.EBUSY):
			refused = fault.New(fault.Conflict, "%s cannot hand down controller %s: %w (it has processes of its own; choose a cgroup path under a group without)", path, c, err)
		case err != nil:
			refused = fault.New(fault.KindOf(err), "%s cannot hand down controller %s: %w", path, c, err)
		}
	}
	return refused
}

// missing returns the wanted controllers that are not in the list text.
func missing(want []string, text string) (out []string) {
	have := strings.Fields(text)
	for _, c := range want {
		if !slices.Contains(have, c) {
			out = append(out, c)
		}
	}
	return out
}
