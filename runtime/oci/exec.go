package oci

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/runtime/cgroup"
	"github.com/berth-engine/berth/runtime/launch"
	"github.com/berth-engine/berth/runtime/plan"
)

// ExecRequest asks for a further process in a container.
type ExecRequest struct {
	ID       string
	Process  *specs.Process
	Stdio    [3]*os.File
	Preserve []*os.File
	PIDFile  string
	// IgnorePaused lets exec wait until a paused container goes on.
	IgnorePaused bool
	// Unfiltered leaves the container's seccomp profile out (--privileged).
	Unfiltered bool
	Console    func(master *os.File) error
	// SubCgroups are paths of groups below the container's, by controller; ""
	// is for all. Nil: the container's own.
	SubCgroups map[string]string
	args       []string // if not empty, in place of Process.Args, which then only names the program
}

// Exec runs a process in a running container. The caller must wait for it.
func (r *Runtime) Exec(ctx context.Context, req ExecRequest) (*Process, error) {
	s, err := r.State(req.ID)
	if err != nil {
		return nil, err
	}
	switch {
	case s.Status == StatePaused && !req.IgnorePaused:
		return nil, fault.New(fault.Conflict, "cannot exec in a paused container (use --ignore-paused to override)")
	case s.Status == specs.StateStopped, s.Status == specs.StateCreating:
		return nil, fault.New(fault.NotRunning, "cannot exec in a %s container", s.Status)
	}
	spec, err := readSpec(r.config(s.ID))
	if err != nil {
		return nil, err
	}
	setHome(req.Process, rootOf(s))
	return r.exec(ctx, &req, s, spec)
}

func (r *Runtime) exec(ctx context.Context, req *ExecRequest, s *State, spec *specs.Spec) (*Process, error) {
	groups, err := subGroups(s.Cgroups, req.SubCgroups)
	if err != nil {
		return nil, err
	}
	cg, err := cgroup.Reopen(groups)
	if err != nil {
		return nil, err
	}
	dir, err := cg.Dir()
	if err != nil {
		return nil, err
	}
	if dir != nil {
		defer dir.Close()
	}
	f, err := execFacts(req, s, spec, cg)
	if err != nil {
		return nil, err
	}
	pl, err := plan.Join(req.Process, f)
	if err != nil {
		return nil, err
	}
	r.warnOf(pl)
	if len(req.args) > 0 {
		pl.SetArgs(req.args)
	}
	if !req.Process.Terminal {
		if uid, err := machineID(s.Pid, "uid", req.Process.User.UID); err == nil {
			if err := giveStdio(req.Stdio, uid); err != nil {
				return nil, err
			}
		}
	}
	var proc Process
	at := func(p plan.Point, child *launch.Process) error {
		switch p {
		case plan.Listening:
			return handListener(child, plan.Listener(len(req.Preserve)), spec.Linux.Seccomp, s.State)
		case plan.Rooted:
			return execConsole(req, child, &proc)
		}
		return nil
	}
	child, err := r.launchJoin(ctx, pl, s, req.Stdio, &joinExtras{req.Preserve, dir}, at)
	if err != nil {
		if proc.Console != nil {
			proc.Console.Close()
		}
		return nil, explainExec(siteIn(s), req.Process, err)
	}
	return finishExec(req, child, &proc)
}

func execFacts(req *ExecRequest, s *State, spec *specs.Spec, cg cgroup.Manager) (plan.JoinFacts, error) {
	apart, err := namespacesApart(s.Pid)
	if err != nil {
		return plan.JoinFacts{}, err
	}
	f := plan.JoinFacts{
		Facts: plan.Facts{
			LastCap: kernel.LastCap(), Caps: ownCaps(spec), Files: kernel.FileLimit(), Arch: runtime.GOARCH,
			Preserve: len(req.Preserve),
		},
		Namespaces: apart, Who: s.ID,
	}
	f.Doors, f.IntoCgroup = doors(cg)
	f.Doors = append(f.Doors, resctrlDoors(s.Resctrl)...)
	if spec.Linux != nil && !req.Unfiltered {
		f.Seccomp = spec.Linux.Seccomp
	}
	if spec.Linux != nil {
		f.Personality, f.MemoryPolicy = spec.Linux.Personality, spec.Linux.MemoryPolicy
	}
	if req.Process.ExecCPUAffinity == nil && spec.Process != nil {
		req.Process.ExecCPUAffinity = spec.Process.ExecCPUAffinity
	}
	if req.Process.Terminal {
		f.ParentAt = []plan.Point{plan.Rooted}
	}
	return f, nil
}

func execConsole(req *ExecRequest, child *launch.Process, proc *Process) error {
	master, err := takeConsole(child, req.Process.ConsoleSize)
	if err != nil {
		return err
	}
	if req.Console == nil {
		proc.Console = master
		return nil
	}
	defer master.Close()
	return req.Console(master)
}

func finishExec(req *ExecRequest, child *launch.Process, proc *Process) (*Process, error) {
	proc.Pid, proc.Pidfd = child.Pid, child.Pidfd
	// A process that has ended already is a zombie of ours and still has its line.
	ticks, err := kernel.StartTicks(child.Pid)
	if err == nil && req.PIDFile != "" {
		err = disk.Write(req.PIDFile, []byte(strconv.Itoa(child.Pid)), 0o644)
	}
	proc.StartTicks = ticks
	if err != nil {
		child.Kill()
		var ws unix.WaitStatus
		wait4(child.Pid, &ws)
		child.Pidfd.Close()
		return nil, err
	}
	return proc, nil
}

// joinExtras are the inputs of a join that hooks do not have.
type joinExtras struct {
	preserve []*os.File
	dir      *os.File
}

// launchJoin starts a plan made by plan.Join in the container s.
func (r *Runtime) launchJoin(ctx context.Context, pl *plan.Plan, s *State, stdio [3]*os.File, x *joinExtras, at func(plan.Point, *launch.Process) error) (*launch.Process, error) {
	prog, err := launch.Assemble(pl)
	if err != nil {
		return nil, err
	}
	if x == nil {
		x = &joinExtras{}
	}
	var files []*os.File
	for _, in := range pl.Inputs {
		kind, rest, _ := strings.Cut(in.What, ":")
		n, _ := strconv.Atoi(rest)
		switch kind {
		case "preserve":
			files = append(files, x.preserve[n])
		case "pidfd":
			fd, err := r.pidfd(s)
			if err != nil {
				return nil, err
			}
			f := os.NewFile(uintptr(fd), "pidfd")
			defer f.Close()
			files = append(files, f)
		default:
			files = append(files, stdio[stdioNumber(kind)])
		}
	}
	return launch.Start(ctx, prog, launch.Options{Files: files, Cgroup: x.dir, At: at})
}

// Wait waits for a payload that Create or Exec returned and gives its status
// as a shell would: 128+n for signal n.
func (p *Process) Wait() (int, error) {
	var ws unix.WaitStatus
	if _, err := wait4(p.Pid, &ws); err != nil {
		return -1, os.NewSyscallError("wait4", err)
	}
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// Signal sends a signal to the payload; one that has ended is no error.
func (p *Process) Signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(int(p.Pidfd.Fd()), sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return os.NewSyscallError("pidfd_send_signal", err)
}
