package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/internal/under"
	"github.com/berth-engine/berth/runtime/cgroup"
	"github.com/berth-engine/berth/runtime/launch"
	"github.com/berth-engine/berth/runtime/plan"
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
}

// Create makes a container and, with Start, runs it. When it fails nothing of
// it is left.
func (r *Runtime) Create(ctx context.Context, req CreateRequest) (_ *Process, err error) {
	if err := CheckID(req.ID); err != nil {
		return nil, err
	}
	c := &creation{r: r, req: &req, spec: req.Bundle.Spec, undo: cleanup.New()}
	defer func() {
		for _, f := range c.own {
			f.Close()
		}
		if uerr := c.undo.Run(); uerr != nil {
			err = errors.Join(err, uerr)
		}
	}()
	for _, step := range []func(context.Context) error{
		c.reserve, c.makeCgroup, c.compile, c.inputs, c.launch, c.record,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	c.undo.Release()
	if req.Start && c.spec.Hooks != nil {
		c.st.Status = specs.StateRunning
		r.runHooks(ctx, c.st, "poststart", c.spec.Hooks.Poststart, false)
	}
	return &c.proc, nil
}

// reserve takes the id: a directory of that name can be made once.
func (c *creation) reserve(context.Context) error {
	if err := os.MkdirAll(c.r.Root, 0o700); err != nil {
		return err
	}
	dir := c.r.dir(c.req.ID)
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Exists, "container with given ID already exists: %q", c.req.ID)
	} else if err != nil {
		return err
	}
	c.undo.Add(func() error { return under.RemoveTree(dir) })
	if !c.req.Start {
		return os.NewSyscallError("mkfifo", unix.Mkfifo(c.r.startFile(c.req.ID), 0o600))
	}
	return nil
}

func (c *creation) makeCgroup(context.Context) error {
	layout, err := cgroup.Detect()
	if err != nil {
		return err
	}
	path := "/" + c.req.ID
	if c.spec.Linux != nil && c.spec.Linux.CgroupsPath != "" {
		path = c.spec.Linux.CgroupsPath
	} else {
		path = strings.TrimPrefix(path, "/") // below the runtime's own group
	}
	if c.cg, err = layout.Manager(path); err != nil {
		return err
	}
	var limits *specs.LinuxResources
	if c.spec.Linux != nil {
		limits = c.spec.Linux.Resources
	}
	if err := c.cg.Create(limits); err != nil {
		return err
	}
	c.undo.Add(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return errors.Join(c.cg.Kill(), c.cg.Remove(ctx))
	})
	return nil
}

func (c *creation) compile(context.Context) error {
	b := c.req.Bundle
	setHome(c.spec.Process, b.Root)
	f := b.facts(c.cg)
	f.Preserve = len(c.req.Preserve)
	f.AwaitStart = !c.req.Start
	f.NoKeyring = c.req.NoKeyring
	if f.AwaitStart {
		f.ParentAt = append(f.ParentAt, plan.Ready)
	}
	doors, err := c.cg.Doors()
	if err != nil {
		return err
	}
	c.own = append(c.own, doors...)
	for _, d := range doors {
		f.Doors = append(f.Doors, doorName(d.Name()))
	}
	dir, err := c.cg.Dir()
	if err != nil {
		return err
	}
	if dir != nil {
		f.IntoCgroup = true
		c.own = append(c.own, dir)
	}
	if c.plan, err = plan.Compile(c.spec, b.Mounts, f); err != nil {
		return err
	}
	c.prog, err = launch.Assemble(c.plan)
	return err
}

// doorName is the hierarchy in ".../HIERARCHY/GROUP/tasks", for people.
func doorName(path string) string {
	const top = "/sys/fs/cgroup/"
	name, _, _ := strings.Cut(strings.TrimPrefix(path, top), "/")
	return name
}

// inputs opens what the plan asks for.
func (c *creation) inputs(context.Context) error {
	for _, in := range c.plan.Inputs {
		f, err := c.input(in.What)
		if err != nil {
			return fault.Op("open", in.What, err)
		}
		c.open = append(c.open, f)
	}
	return nil
}

func (c *creation) input(what string) (*os.File, error) {
	kind, rest, _ := strings.Cut(what, ":")
	switch kind {
	case "stdin", "stdout", "stderr":
		return c.req.Stdio[stdioNumber(kind)], nil
	case "preserve":
		n, err := strconv.Atoi(rest)
		return c.req.Preserve[n], err
	case "cgroup":
		n, err := strconv.Atoi(rest)
		return c.own[n], err
	}
	var f *os.File
	var err error
	switch kind {
	case "ns":
		f, err = os.Open(rest)
	case "start":
		// Open for both directions: it neither waits for the other end nor
		// ends when a writer goes.
		f, err = os.OpenFile(c.r.startFile(c.req.ID), os.O_RDWR, 0)
	default:
		err = fault.New(fault.Internal, "unknown input")
	}
	if err == nil {
		c.own = append(c.own, f)
	}
	return f, err
}

func stdioNumber(name string) int {
	switch name {
	case "stdin":
		return 0
	case "stdout":
		return 1
	}
	return 2
}

func (c *creation) launch(ctx context.Context) error {
	o := launch.Options{Files: c.open, At: func(p plan.Point, child *launch.Process) error { return c.at(ctx, p, child) }}
	if c.plan.Clone.IntoCgroup {
		o.Cgroup = c.own[len(c.doors())]
	}
	if !c.req.Start {
		o.Report = c.r.report(c.req.ID)
	}
	child, err := launch.Start(ctx, c.prog, o)
	if err != nil {
		return explainExec(c.spec.Process, err)
	}
	c.proc.Pid, c.proc.Pidfd = child.Pid, child.Pidfd
	c.undo.Add(func() error {
		child.Kill()
		var ws unix.WaitStatus
		_, err := unix.Wait4(child.Pid, &ws, 0, nil)
		child.Pidfd.Close()
		return err
	})
	return nil
}

// doors are the inputs named cgroup:N; the unified directory follows them in own.
func (c *creation) doors() []plan.Input {
	var doors []plan.Input
	for _, in := range c.plan.Inputs {
		if strings.HasPrefix(in.What, "cgroup:") {
			doors = append(doors, in)
		}
	}
	return doors
}

// at does the parent's part of the making.
func (c *creation) at(ctx context.Context, p plan.Point, child *launch.Process) error {
	switch p {
	case launch.Cloned:
		return c.born(child)
	case plan.Born:
		return writeMaps(child.Pid, c.spec.Linux)
	case plan.Rooted:
		return c.rooted(ctx, child)
	}
	return nil
}

// born fills in the state while the child is already busy.
func (c *creation) born(child *launch.Process) error {
	ticks, err := kernel.StartTicks(child.Pid)
	if err != nil {
		return err
	}
	c.proc.StartTicks = ticks
	c.st = &State{
		State: specs.State{
			Version: specs.Version, ID: c.req.ID, Status: specs.StateCreating, Pid: child.Pid,
			Bundle: c.req.Bundle.Dir, Annotations: c.spec.Annotations,
		},
		Rootfs: c.req.Bundle.Root, Created: time.Now().UTC(), Owner: owner(),
		StartTicks: ticks, Boot: kernel.BootID(), Cgroups: c.cg.Paths(),
		Program: c.spec.Process.Args[0], Hooks: c.spec.Hooks != nil,
	}
	return nil
}

func (c *creation) rooted(ctx context.Context, child *launch.Process) error {
	if c.spec.Process.Terminal {
		if err := c.console(child); err != nil {
			return err
		}
	}
	return c.createHooks(ctx, child)
}

// console takes the pty's master out of the child, which made it in the
// container's own devpts.
func (c *creation) console(child *launch.Process) error {
	master, err := takeConsole(child, c.spec.Process.ConsoleSize)
	if err != nil {
		return err
	}
	if c.req.Console == nil {
		c.proc.Console = master
		c.undo.Add(master.Close)
		return nil
	}
	defer master.Close()
	return c.req.Console(master)
}

func takeConsole(child *launch.Process, size *specs.Box) (*os.File, error) {
	fd, err := unix.PidfdGetfd(int(child.Pidfd.Fd()), plan.Console.FD(), 0)
	if err != nil {
		return nil, fault.Op("take terminal", "", os.NewSyscallError("pidfd_getfd", err))
	}
	master := os.NewFile(uintptr(fd), "ptmx")
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(5, 2) {
		master.Close()
		return nil, fault.New(fault.Invalid, "terminal: /dev/pts/ptmx of the container is no pty multiplexer")
	}
	if size != nil && size.Height|size.Width != 0 {
		ws := &unix.Winsize{Row: uint16(size.Height), Col: uint16(size.Width)}
		if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, ws); err != nil {
			master.Close()
			return nil, os.NewSyscallError("ioctl TIOCSWINSZ", err)
		}
	}
	return master, nil
}

// record writes what later commands need. The container exists from here on.
func (c *creation) record(context.Context) error {
	if err := c.r.save(c.st); err != nil {
		return err
	}
	if c.req.PIDFile == "" {
		return nil
	}
	return disk.Write(c.req.PIDFile, []byte(strconv.Itoa(c.proc.Pid)), 0o644)
}

// writeMaps writes the child's user and group id maps and clock offsets.
func writeMaps(pid int, l *specs.Linux) error {
	dir := fmt.Sprintf("/proc/%d/", pid)
	for _, m := range []struct {
		file string
		maps []specs.LinuxIDMapping
	}{{"uid_map", l.UIDMappings}, {"gid_map", l.GIDMappings}} {
		var b strings.Builder
		for _, e := range m.maps {
			fmt.Fprintf(&b, "%d %d %d\n", e.ContainerID, e.HostID, e.Size)
		}
		if b.Len() == 0 {
			continue
		}
		if err := os.WriteFile(dir+m.file, []byte(b.String()), 0); err != nil {
			return err
		}
	}
	for clock, o := range l.TimeOffsets {
		line := fmt.Sprintf("%s %d %d\n", clock, o.Secs, o.Nanosecs)
		if err := os.WriteFile(dir+"timens_offsets", []byte(line), 0); err != nil {
			return err
		}
	}
	return nil
}

// explainExec says more about a payload that could not be executed.
func explainExec(p *specs.Process, err error) error {
	var step *launch.StepError
	if !errors.As(err, &step) {
		return err
	}
	switch s := step.Step.(type) {
	case plan.FindExecutable:
		return execError(s.Name, len(s.Paths) > 1, step.Errno, err)
	case plan.Exec:
		return explainErrno(p.Args[0], step.Errno, err)
	}
	return err
}

// explainErrno explains a failed execve(2) of a program that was found before.
func explainErrno(name string, errno, err error) error {
	if errors.Is(errno, unix.ENOENT) {
		return fault.New(fault.NotFound, "exec %s: no such file or directory: the file is there, but the interpreter that its first line or its ELF header names is not: %w", name, err)
	}
	return execError(name, false, errno, err)
}

func execError(name string, searched bool, errno error, err error) error {
	switch {
	case errors.Is(errno, unix.ENOENT) && searched:
		return fault.New(fault.NotFound, "exec: %q: executable file not found in $PATH: %w", name, err)
	case errors.Is(errno, unix.ENOENT), errors.Is(errno, unix.ENOTDIR):
		return fault.New(fault.NotFound, "exec: %q: stat %s: no such file or directory: %w", name, name, err)
	case errors.Is(errno, unix.EACCES):
		return fault.New(fault.Denied, "exec: %q: permission denied: %w", name, err)
	case errors.Is(errno, unix.ENOEXEC):
		return fault.New(fault.Denied, "exec: %q: exec format error (not a program for this machine, and no #! line): %w", name, err)
	}
	return fault.New(fault.Denied, "exec: %q: %w", name, err)
}
