package engine

import (
	"context"
	"errors"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/bundle"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/engine/detach"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/merged"
	"github.com/berth-engine/berth/runtime/oci"
)

// ExecRequest asks for a further process in a running container.
type ExecRequest struct {
	Name       string
	Args       []string
	Env        []string // K=V, beside the container's own
	User       string   // "" is the container's
	WorkDir    string   // "" is the container's
	Privileged bool
	TTY        bool
	Stdin      bool // keep stdin open
	Detach     bool // return when it runs
	Streams    Streams
}

// Exec runs a process in a container and says how it ended. When the caller
// goes away the process goes on.
func (c *Containers) Exec(ctx context.Context, q ExecRequest) (container.ExitStatus, error) {
	rec, err := c.Find(q.Name)
	if err != nil {
		return container.ExitStatus{}, err
	}
	records, err := c.records()
	if err != nil {
		return container.ExitStatus{}, err
	}
	s, err := c.truth(ctx, rec.ID)
	switch {
	case err != nil:
		return container.ExitStatus{}, err
	case s.State == container.Paused:
		return container.ExitStatus{}, fault.New(fault.Conflict, "container %s is paused, unpause the container before exec", rec.Name)
	case s.State == container.Restarting:
		return container.ExitStatus{}, fault.New(fault.Conflict, "container %s is restarting, wait until the container is running", rec.ID)
	case s.State != container.Running:
		return container.ExitStatus{}, notRunning(rec)
	}
	p, err := c.process(records, rec, s, q)
	if err != nil {
		return container.ExitStatus{}, err
	}
	conn, err := c.ensure(ctx, rec.ID)
	if errors.Is(err, fault.NotRunning) {
		return container.ExitStatus{}, notRunning(rec)
	}
	if err != nil {
		return container.ExitStatus{}, err
	}
	defer conn.Close()
	if q.TTY {
		return c.execTTY(ctx, conn, p, q)
	}
	return c.execPlain(ctx, conn, p, q)
}

// checkProgram says of a program without a name what docker says.
func checkProgram(args []string) error {
	if len(args) > 0 && args[0] == "" {
		return fault.New(fault.NotFound, `exec: "": executable file not found in $PATH: %w`, syscall.ENOENT)
	}
	return nil
}

// process derives the new process from the container's own.
func (c *Containers) process(records *container.Store, rec *container.Container, s container.Status, q ExecRequest) (*specs.Process, error) {
	p, err := oci.ReadBundleProcess(c.bundleDir(records, rec.ID))
	if err != nil {
		return nil, err
	}
	if p == nil || p.Capabilities == nil {
		return nil, fault.New(fault.Damaged, "the bundle of container %s has no process", rec.Name)
	}
	if err := checkProgram(q.Args); err != nil {
		return nil, err
	}
	p.Args, p.Terminal, p.ConsoleSize = q.Args, q.TTY, nil
	if q.TTY && q.Streams.First.Rows != 0 {
		p.ConsoleSize = &specs.Box{Height: uint(q.Streams.First.Rows), Width: uint(q.Streams.First.Cols)}
	}
	if q.WorkDir != "" {
		if !path.IsAbs(q.WorkDir) {
			return nil, unfit{fault.New(fault.Invalid, "the working directory '%s' is invalid, it needs to be an absolute path", q.WorkDir)}
		}
		p.Cwd = path.Clean(q.WorkDir)
	}
	if q.TTY {
		p.Env = setEnv(p.Env, "TERM=xterm")
	}
	if q.User != "" {
		if err := changeUser(p, rec, s, q); err != nil {
			return nil, err
		}
	}
	for _, kv := range q.Env {
		p.Env = setEnv(p.Env, kv)
	}
	execCaps(p, q.Privileged)
	return p, nil
}

// changeUser makes p run as another user of the container's own files.
func changeUser(p *specs.Process, rec *container.Container, s container.Status, q ExecRequest) error {
	t, err := merged.Open(nil, filepath.Join("/proc", strconv.Itoa(s.Pid), "root"))
	if err != nil {
		return err
	}
	defer t.Close()
	passwd, group, err := userFiles(t)
	if err != nil {
		return err
	}
	u, err := bundle.LookupUser(passwd, group, q.User, rec.Request.GroupAdd)
	if err != nil {
		return unfit{err}
	}
	p.User.UID, p.User.GID = u.UID, u.GID
	p.User.AdditionalGids = append([]uint32{u.GID}, u.Groups...)
	if !slices.ContainsFunc(rec.Request.Env, func(kv string) bool { return strings.HasPrefix(kv, "HOME=") }) {
		home := u.Home
		if home == "" {
			home = "/"
		}
		p.Env = setEnv(p.Env, "HOME="+home)
	}
	return nil
}

func setEnv(env []string, kv string) []string {
	key, _, _ := strings.Cut(kv, "=")
	i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, key+"=") })
	if i < 0 {
		return append(env, kv)
	}
	env[i] = kv
	return env
}

// execCaps gives root the container's bounding set and others none, as execve
// would; --privileged gives all that this machine can give.
func execCaps(p *specs.Process, privileged bool) {
	caps := p.Capabilities
	if privileged {
		caps.Bounding = ownBounding()
		if p.ApparmorProfile != "" {
			p.ApparmorProfile = "unconfined"
		}
	}
	caps.Effective, caps.Permitted, caps.Inheritable, caps.Ambient = nil, nil, nil, nil
	if p.User.UID == 0 {
		caps.Effective, caps.Permitted = caps.Bounding, caps.Bounding
	}
}

func (c *Containers) execTTY(ctx context.Context, conn *monitor.Conn, p *specs.Process, q ExecRequest) (container.ExitStatus, error) {
	proc, err := conn.Exec(ctx, monitor.ExecRequest{Process: p})
	if err != nil {
		return container.ExitStatus{}, err
	}
	if proc.Console == nil {
		return container.ExitStatus{}, fault.New(fault.Damaged, "exec: the monitor sent no terminal")
	}
	defer proc.Console.Close()
	if q.Detach {
		// somebody must take the output, or the process would block: nobody
		// does, so its terminal hangs up when we leave, as with docker's -dt
		return container.ExitStatus{}, nil
	}
	return console(ctx, proc, q.Streams)
}

func (c *Containers) execPlain(ctx context.Context, conn *monitor.Conn, p *specs.Process, q ExecRequest) (container.ExitStatus, error) {
	if q.Detach {
		_, err := conn.Exec(ctx, monitor.ExecRequest{Process: p})
		return container.ExitStatus{}, err
	}
	if !q.Stdin {
		q.Streams.In = nil
	}
	pipes, err := newPipes(q.Streams)
	if err != nil {
		return container.ExitStatus{}, err
	}
	defer pipes.close()
	proc, err := conn.Exec(ctx, monitor.ExecRequest{Process: p, Stdin: pipes.child[0], Stdout: pipes.child[1], Stderr: pipes.child[2]})
	if err != nil {
		return container.ExitStatus{}, err
	}
	pipes.start()
	exit, err := proc.Wait(ctx)
	pipes.drain()
	if errors.Is(err, detach.ErrDetached) {
		return exit, detach.ErrDetached
	}
	return exit, err
}
