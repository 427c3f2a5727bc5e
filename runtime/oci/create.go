package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/runtime/cgroup"
	"github.com/berth-engine/berth/runtime/launch"
	"github.com/berth-engine/berth/runtime/plan"
	"github.com/berth-engine/berth/runtime/resctrl"
)

// CreateRequest asks for a container.
type CreateRequest struct {
	ID       string
	Bundle   *Bundle
	Stdio    [3]*os.File // with a terminal they stand in until it is there
	Preserve []*os.File  // descriptors 3, 4, … of the payload
	PIDFile  string
	// Start runs the payload at once; otherwise it waits for Runtime.Start.
	Start     bool
	NoKeyring bool
	// NoPivot enters the root without pivot_root(2), which an initramfs does
	// not allow. It confines less.
	NoPivot bool
	// Console receives the terminal's master, which Create then does not
	// return. It is called before the payload runs.
	Console func(master *os.File) error
}

// Process is a payload: a child of the calling process, which must wait for it.
type Process struct {
	Pid        int
	StartTicks uint64
	Pidfd      *os.File
	Console    *os.File // pty master, with a terminal and without a Console function
}

// creation is a container in the making.
type creation struct {
	r    *Runtime
	req  *CreateRequest
	spec *specs.Spec
	cg   cgroup.Manager
	plan *plan.Plan
	prog *launch.Program
	open []*os.File // answers to the plan's inputs
	own  []*os.File // those of them that are ours to close
	st   *State
	proc Process
	undo *cleanup.Stack

	network    *network     // its namespace, if that is made ahead
	groupsMade func() error // waits for the groups
	cgroupDir  *os.File     // the one of the unified tree
	moved      *movedDevices
	hooked     bool // a hook has run: the poststop hooks must
	fresh      bool // the groups must not be there before
}

// Create makes a container and, with Start, runs it. When it fails nothing of
// it is left.
func (r *Runtime) Create(ctx context.Context, req CreateRequest) (_ *Process, err error) {
	if err := CheckID(req.ID); err != nil {
		return nil, err
	}
	c := &creation{r: r, req: &req, spec: req.Bundle.Spec, undo: cleanup.New()}
	c.network = networkAhead(c.spec)
	defer func() {
		c.closeOwn()
		err = c.end(err)
		c.moved.close()
	}()
	err = r.run(ctx, []step{
		{"reserve", c.reserve},
		{"cgroup", c.makeCgroup},
		{"resctrl", c.makeResctrl},
		{"compile", c.compile},
		{"inputs", c.inputs},
		{"launch", c.launch},
		{"record", c.record},
		{"pid file", c.pidFile},
		{"poststart", c.poststart},
	})
	if err != nil {
		return nil, err
	}
	c.undo.Release()
	return &c.proc, nil
}

// step is a part of making a container; a test can have it fail by its name.
type step struct {
	name string
	do   func(context.Context) error
}

// run does steps until one fails.
func (r *Runtime) run(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := r.reach(s.name); err != nil {
			return err
		}
		if err := s.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// end undoes what a failed creation made, and tells the hooks.
func (c *creation) end(err error) error {
	if err == nil {
		return nil
	}
	if c.groupsMade != nil && c.groupsMade() == nil {
		if n, oerr := c.cg.OOMKills(); oerr == nil && n > 0 {
			err = fmt.Errorf("%w: out of memory: linux.resources.memory.limit is too small", err)
		}
	}
	if uerr := c.undo.Run(); uerr != nil {
		err = errors.Join(err, uerr)
	}
	if c.hooked {
		c.st.Status, c.st.Pid = specs.StateStopped, 0
		c.r.runHooks(context.Background(), c.st, "poststop", c.spec.Hooks.Poststop, false)
	}
	return err
}

// reserve takes the id: a directory of that name can be made once. The
// specification is kept there: what happens to the bundle later does not
// concern the container.
func (c *creation) reserve(context.Context) error {
	if err := os.MkdirAll(c.r.Root, 0o700); err != nil {
		return err
	}
	if err := kernel.MkdirSpread(c.r.dir(c.req.ID)); errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Exists, "container with given ID already exists: %q", c.req.ID)
	} else if err != nil {
		return err
	}
	c.undo.Add(func() error { return c.r.forget(c.req.ID) })
	if err := disk.Write(c.r.config(c.req.ID), c.req.Bundle.text, 0o600); err != nil {
		return err
	}
	if !c.req.Start {
		return os.NewSyscallError("mkfifo", unix.Mkfifo(c.r.startFile(c.req.ID), 0o600))
	}
	return nil
}

// makeCgroup makes the groups. Where they will be is recorded before, so that
// they can be removed even if we are killed half-way.
func (c *creation) makeCgroup(context.Context) (err error) {
	layout := c.r.Layout
	if layout == nil {
		if layout, err = cgroup.Detect(); err != nil {
			return err
		}
	}
	if c.cg, err = groups(layout, c.req.ID, c.spec, c.r.Systemd); err != nil {
		return err
	}
	if err := c.announce(); err != nil {
		return err
	}
	// Groups that are there already may be somebody else's: Create may refuse
	// them, and a record would give them to whoever deletes us.
	if there := anyExists(c.cg.Paths()); !there {
		if err := c.r.save(c.st); err != nil {
			return err
		}
	} else if c.fresh {
		return fault.New(fault.Exists, "--manage-cgroups-mode strict: its groups are there already; remove them, or choose another linux.cgroupsPath")
	}
	var limits *specs.LinuxResources
	if c.spec.Linux != nil {
		limits = c.spec.Linux.Resources
	}
	for _, field := range cgroup.Obsolete(limits) {
		c.r.warn(fault.New(fault.Unsupported, "%s is ignored: kernels have no such limit any more", field))
	}
	if err := c.cg.Begin(); err != nil {
		return err
	}
	// The kernel makes the rest while we plan what happens in them, and the
	// child begins.
	c.groupsMade = meanwhile(func() error { return c.cg.Create(limits) })
	c.undo.Add(func() error {
		if c.groupsMade() != nil {
			// Create has undone what it did, and what it found may be
			// somebody else's: only what Begin made is left to us.
			return removeEmpty(c.cg.Paths()[""])
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return errors.Join(c.cg.Kill(), c.cg.Remove(ctx))
	})
	return nil
}

// meanwhile begins do, and returns what waits for it, as often as it is called.
func meanwhile(do func() error) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- do() }()
	return sync.OnceValue(func() error { return <-done })
}

// removeEmpty removes a group that nobody is in.
func removeEmpty(dir string) error {
	if dir == "" {
		return nil
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EBUSY) {
		return fault.Op("remove cgroup", dir, err)
	}
	return nil
}

func anyExists(paths map[string]string) bool {
	for _, dir := range paths {
		if _, err := os.Lstat(dir); err == nil {
			return true
		}
	}
	return false
}

// groups are a container's cgroups: where its specification says, or of its
// name below the runtime's own.
func groups(layout *cgroup.Layout, id string, s *specs.Spec, systemd bool) (cgroup.Manager, error) {
	if systemd {
		path := ""
		if s.Linux != nil {
			path = s.Linux.CgroupsPath
		}
		return layout.Scope(path, id, s.Annotations)
	}
	if s.Linux != nil && s.Linux.CgroupsPath != "" {
		return layout.Manager(s.Linux.CgroupsPath)
	}
	return layout.Manager(id)
}

// announce fills in the state of a container that has no process yet.
func (c *creation) announce() (err error) {
	c.st = &State{
		State: specs.State{
			Version: specs.Version, ID: c.req.ID, Status: specs.StateCreating,
			Bundle: c.req.Bundle.Dir, Annotations: c.spec.Annotations,
		},
		Rootfs: c.req.Bundle.Root, Created: time.Now().UTC(), Owner: owner(), Cgroups: c.cg.Paths(),
		Program: programOf(c.spec.Process), Hooks: c.spec.Hooks != nil,
	}
	if c.st.Resctrl, err = c.r.chooseResctrl(c.req.ID, c.spec); err != nil {
		return err
	}
	c.st.Below, err = underRoot(c.spec, c.st.Rootfs)
	c.undo.Add(func() error { return detachRoot(c.st) })
	return err
}

func (c *creation) compile(context.Context) error {
	var err error
	if c.plan, err = compile(c.req, c.cg, c.st.Resctrl, c.network != nil); err != nil {
		return err
	}
	c.r.warnOf(c.plan)
	c.prog, err = launch.Assemble(c.plan)
	return err
}

// compile makes the plan that Create runs and Explain prints.
func compile(req *CreateRequest, m cgroup.Manager, caches *resctrl.Group, netAhead bool) (*plan.Plan, error) {
	b := req.Bundle
	setHome(b.Spec.Process, b.Root)
	f := b.facts(m, caches, req)
	f.NetAhead = netAhead
	if err := b.mountFacts(&f, req); err != nil {
		return nil, err
	}
	return plan.Compile(b.Spec, b.Mounts, f)
}

// doorName is the hierarchy in ".../HIERARCHY/GROUP/tasks", for people.
func doorName(path string) string {
	const top = "/sys/fs/cgroup/"
	name, _, _ := strings.Cut(strings.TrimPrefix(path, top), "/")
	return name
}

func (c *creation) launch(ctx context.Context) error {
	o := launch.Options{Files: c.open, At: func(p plan.Point, child *launch.Process) error { return c.at(ctx, p, child) }}
	if c.plan.Clone.IntoCgroup {
		o.Cgroup = c.cgroupDir
	}
	if !c.req.Start {
		o.Report = c.r.report(c.req.ID)
	}
	child, err := launch.Start(ctx, c.prog, o)
	if err != nil {
		b := c.req.Bundle
		return explainExec(site{b.Mounts, b.Root, c.spec.Mounts}, c.spec.Process, err)
	}
	c.cg.Settle()
	c.proc.Pid, c.proc.Pidfd = child.Pid, child.Pidfd
	c.undo.Add(func() error {
		child.Kill()
		var ws unix.WaitStatus
		_, err := wait4(child.Pid, &ws)
		child.Pidfd.Close()
		return err
	})
	return nil
}

// record writes what later commands need. The container exists from here on.
func (c *creation) record(context.Context) error {
	return c.born(c.proc.Pid) // another, if a pid namespace was joined
}

func (c *creation) pidFile(context.Context) error {
	if c.req.PIDFile == "" {
		return nil
	}
	if err := disk.Write(filepath.Clean(c.req.PIDFile), strconv.AppendInt(nil, int64(c.proc.Pid), 10), 0o644); err != nil {
		return fault.Op("pid file", "", err)
	}
	c.undo.Add(func() error { return os.Remove(c.req.PIDFile) })
	return nil
}
