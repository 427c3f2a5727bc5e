package oci

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/internal/under"
	"github.com/berth-engine/berth/runtime/criu"
)

// RestoreRequest asks for a container to be made of a checkpoint's files.
type RestoreRequest struct {
	ImageRequest
	Bundle  *Bundle
	Stdio   [3]*os.File // in the place of those that were the machine's
	PIDFile string
	Console func(master *os.File) error // as of CreateRequest
	// LSMProfile, TYPE:NAME, and LSMMount take the place of what was dumped.
	LSMProfile, LSMMount string
}

// restoration is a creation whose process comes from files.
type restoration struct {
	creation
	in      *RestoreRequest
	job     *criu.Job
	criuPid int
	checked bool // see confined
}

// Restore makes a container of a checkpoint. Its first process is a child of
// the calling process, as of Create. When it fails nothing of it is left.
func (r *Runtime) Restore(ctx context.Context, req RestoreRequest) (_ *Process, err error) {
	if err := CheckID(req.ID); err != nil {
		return nil, err
	}
	c := &restoration{in: &req}
	c.creation = creation{
		r: r, spec: req.Bundle.Spec, undo: cleanup.New(), fresh: req.CgroupMode == "strict",
		req: &CreateRequest{ID: req.ID, Bundle: req.Bundle, PIDFile: req.PIDFile, Stdio: req.Stdio, Console: req.Console, Start: true},
	}
	defer func() {
		c.closeOwn()
		err = c.end(err)
	}()
	err = r.run(ctx, []step{
		{"look", c.look},
		{"reserve", c.reserve},
		{"cgroup", c.makeCgroup},
		{"points", c.makePoints},
		{"ask", c.ask},
		{"restore", c.restore},
		{"pid file", c.pidFile},
		{"poststart", c.poststart},
	})
	if err != nil {
		return nil, err
	}
	c.undo.Release()
	return &c.proc, nil
}

// look refuses what is no checkpoint before anything is made.
func (c *restoration) look(context.Context) error {
	if _, err := os.Lstat(c.r.dir(c.in.ID)); err == nil {
		return fault.New(fault.Exists, "container with given ID already exists: %q", c.in.ID)
	}
	if err := c.in.checkProfile(); err != nil {
		return err
	}
	if err := c.in.keepable(c.in.Bundle.Dir, c.spec); err != nil {
		return fault.Op("restore", c.in.ID, err)
	}
	if err := criu.Installed(); err != nil {
		return fault.Op("restore", "", err)
	}
	if err := c.in.dirs(false, c.undo); err != nil {
		return err
	}
	for _, name := range []string{"inventory.img", descriptorsFile} {
		if _, err := os.Lstat(filepath.Join(c.in.Images, name)); errors.Is(err, fs.ErrNotExist) {
			return fault.New(fault.NotFound, "restore %s: %s is no checkpoint of a container: it has no %s", c.in.ID, c.in.Images, name)
		}
	}
	return nil
}

// makePoints makes what mounts need to be on in a root that is another one
// than that of the dump. What is on another file system comes with that.
func (c *restoration) makePoints(context.Context) error {
	root, err := under.OpenRoot(c.in.Bundle.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	var owner fsOwner
	if hasNamespace(c.spec, specs.UserNamespace) {
		if id, ok := hostUID(c.spec, 0); ok {
			owner = fsOwner{int(id), int(id)}
		}
	}
	for i, m := range c.spec.Mounts {
		if onAnother(c.spec.Mounts[:i], m.Destination) {
			continue
		}
		if err := owner.do(func() error { return makePoint(root, m) }); err != nil {
			return fault.Op("mount point", m.Destination, err)
		}
	}
	return nil
}

func onAnother(before []specs.Mount, destination string) bool {
	for _, m := range before {
		if isBelow(path.Clean("/"+destination), path.Clean("/"+m.Destination)) {
			return true
		}
	}
	return false
}

func makePoint(root *under.Root, m specs.Mount) error {
	if _, err := root.Stat(m.Destination); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if info, err := os.Stat(m.Source); err != nil || info.IsDir() || !path.IsAbs(m.Source) {
		return root.MkdirAll(m.Destination, 0o755)
	}
	return makeFile(root, m.Destination)
}

// ask fills in the request.
func (c *restoration) ask(context.Context) error {
	if err := c.groupsMade(); err != nil {
		return err
	}
	c.job = c.in.job(criu.Restore, "restore.log")
	j := c.job
	if c.fresh { // they are ours by now, which CRIU would take for somebody else's
		j.CgroupMode = "full"
	}
	j.Root, j.Config = c.in.Bundle.Root, criuConfig(c.spec.Annotations)
	j.LSMProfile, j.LSMMount = c.in.LSMProfile, c.in.LSMMount
	j.EmptyNet = makesNamespace(c.spec, specs.NetworkNamespace)
	j.Started, j.At = c.enter, c.atStep
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	f := foreignOf(c.spec, unifiedOnly(c.cg.Paths()))
	j.External = f.restored(c.in.Bundle.Dir, mount.Points(string(text)), c.cg.Paths())
	if err := c.joins(); err != nil {
		return err
	}
	return c.streams()
}

// joins has CRIU use the namespaces that the specification names.
func (c *restoration) joins() error {
	for _, n := range c.spec.Linux.Namespaces {
		if n.Path == "" {
			continue
		}
		if n.Type == specs.CgroupNamespace || n.Type == specs.MountNamespace || n.Type == specs.UserNamespace {
			return fault.New(fault.Unsupported, "restore %s: CRIU cannot join a %s namespace (%s)", c.in.ID, n.Type, n.Path)
		}
		word, ok := kept[n.Type]
		if !ok {
			c.job.Join = append(c.job.Join, criu.Pair{Name: string(n.Type), Path: n.Path})
			continue
		}
		ns, err := os.Open(n.Path)
		if err != nil {
			return err
		}
		c.own = append(c.own, ns)
		c.job.Inherit = append(c.job.Inherit, criu.Inherit{Key: word[1], FD: c.job.Pass(ns)})
	}
	return nil
}

// streams puts ours in the place of those that were the machine's.
func (c *restoration) streams() error {
	dir, err := under.OpenRoot(c.in.Images)
	if err != nil {
		return err
	}
	defer dir.Close()
	data, err := dir.ReadFile(descriptorsFile, maxDescriptors)
	if err != nil {
		return err
	}
	names, err := parseDescriptors(data)
	if err != nil {
		return fault.Op("restore", c.in.ID, err)
	}
	given := make(map[string]bool)
	for i, name := range names {
		key := streamKey(name)
		if key == "" || given[key] {
			continue
		}
		file, err := c.stream(i, name)
		if err != nil {
			return err
		}
		given[key] = true
		c.job.Inherit = append(c.job.Inherit, criu.Inherit{Key: key, FD: c.job.Pass(file)})
	}
	p := c.spec.Process
	if p == nil || p.Terminal {
		return nil
	}
	if uid, known := hostUID(c.spec, p.User.UID); known {
		return giveStdio(c.in.Stdio, uid)
	}
	return nil
}

func (c *restoration) stream(i int, name string) (*os.File, error) {
	if !strings.HasPrefix(name, "null[") {
		return c.in.Stdio[i], nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err == nil {
		c.own = append(c.own, null)
	}
	return null, err
}

// enter moves CRIU into the container's groups, where its children are born,
// and tells it which these are.
func (c *restoration) enter(pid int) error {
	if err := c.cg.Enter(pid); err != nil {
		return err
	}
	c.cg.Settle()
	c.criuPid = pid
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name, dir, ok := strings.Cut(rest, ":"); ok {
			c.job.Groups = append(c.job.Groups, criu.Pair{Name: name, Path: dir})
		}
	}
	return nil
}

func (c *restoration) restore(ctx context.Context) error {
	err := fault.Op("restore", c.in.ID, c.job.Run(ctx))
	if err == nil && c.proc.Pidfd == nil {
		err = fault.New(fault.Internal, "restore %s: criu did not say which process it made", c.in.ID)
	}
	if err == nil && !c.checked {
		err = c.check()
	}
	return err
}

// atStep does our part while CRIU waits.
func (c *restoration) atStep(e criu.Event, with *os.File) error {
	if with != nil && e.Step == criu.OrphanTerminal {
		return c.takeMaster(with)
	}
	if with != nil {
		with.Close()
	}
	if e.Step == criu.SetUpNamespaces || e.Step == criu.PostRestore {
		if err := c.arrived(e.Pid); err != nil {
			return err
		}
	}
	if err := c.r.reach(e.Step); err != nil {
		return err
	}
	switch e.Step {
	case criu.SetUpNamespaces:
		return c.setUp(e.Pid)
	case criu.PreResume:
		return c.check()
	}
	return nil
}

// check kills what may not go on: at this step CRIU does not ask any more.
func (c *restoration) check() error {
	err := c.confined()
	if err == nil {
		return nil
	}
	return errors.Join(err, c.cg.Kill())
}

// setUp is called when the namespaces are there.
func (c *restoration) setUp(pid int) error {
	if c.job.EmptyNet {
		if err := raiseLoopbackOf(pid); err != nil {
			return fault.Op("network of the container", "", err)
		}
	}
	h := c.spec.Hooks
	if h == nil {
		return nil
	}
	c.hooked = true
	c.st.Status = specs.StateCreated
	//lint:ignore SA1019 prestart hooks are deprecated and must still run
	if err := c.r.runHooks(context.Background(), c.st, "prestart", h.Prestart, true); err != nil {
		return err
	}
	return c.r.runHooks(context.Background(), c.st, "createRuntime", h.CreateRuntime, true)
}

// raiseLoopbackOf does what a container that is new gets, and that CRIU does not
// do in a network namespace that it is told to leave empty.
func raiseLoopbackOf(pid int) error {
	ns, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return err
	}
	defer ns.Close()
	home, err := ownNetwork()
	if err != nil {
		return err
	}
	defer home.Close()
	return inNetwork(home, into(ns), kernel.RaiseLoopback)
}

// arrived records the first process.
func (c *restoration) arrived(pid int) error {
	if pid <= 0 {
		return nil
	}
	if c.proc.Pidfd == nil {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return os.NewSyscallError("pidfd_open", err)
		}
		c.proc.Pid, c.proc.Pidfd = pid, os.NewFile(uintptr(fd), "pidfd")
		c.undo.Add(c.kill)
	}
	return c.born(pid)
}

// kill undoes the process. CRIU that fails has killed it already.
func (c *restoration) kill() error {
	unix.PidfdSendSignal(int(c.proc.Pidfd.Fd()), unix.SIGKILL, nil, 0)
	var ws unix.WaitStatus
	_, err := wait4(c.proc.Pid, &ws)
	if errors.Is(err, unix.ECHILD) {
		err = nil
	}
	return errors.Join(err, c.proc.Pidfd.Close())
}

// takeMaster keeps the terminal's master, which was not in the container.
func (c *restoration) takeMaster(master *os.File) error {
	if p := c.spec.Process; p == nil || !p.Terminal {
		return errors.Join(fault.New(fault.Invalid, "the images have a terminal, and process.terminal is false"), master.Close())
	}
	return c.handMaster(master)
}
