package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/plan"
)

// Cloned is the moment right after the child was born: at is called for it
// always, before any point of the plan, while the child already runs.
const Cloned plan.Point = 0

// Options are what Start needs besides the program.
type Options struct {
	// Files answer the plan's Inputs, in their order.
	Files []*os.File
	// Cgroup is the directory for CLONE_INTO_CGROUP, when the plan wants it.
	Cgroup *os.File
	// Report is the file that carries the child's report. It is made, or
	// emptied. Empty: one without a name.
	Report string
	// At is called at Cloned and at each point of the plan; an error kills the child.
	At func(plan.Point, *Process) error
}

// Process is a child made by Start. It is the caller's to wait for.
type Process struct {
	Pid   int
	Pidfd *os.File
	// Exited is set when Start already saw the child end, as a middle process
	// of a joined pid namespace or after a failure.
	pr   *Program
	rep  *report
	page []byte
	sync int
}

// StepError says which step of a plan did not work.
type StepError struct {
	Step  plan.Step
	Phase string
	N, Of int
	Errno syscall.Errno
	Exec  bool // it was the last one: the payload itself could not be executed
}

func (e *StepError) Error() string {
	return fmt.Sprintf("%s: %v (step %d of %d)", e.Step, e.Errno, e.N, e.Of)
}

// Unwrap gives the errno.
func (e *StepError) Unwrap() error { return e.Errno }

// Start forks a child that runs the program and follows it until it has
// executed the payload, or, when the plan waits for start, until it waits
// there. When it returns an error nothing of the child is left.
func Start(ctx context.Context, pr *Program, o Options) (_ *Process, err error) {
	if len(o.Files) != len(pr.plan.Inputs) {
		return nil, fault.New(fault.Internal, "launch: %d files for %d inputs", len(o.Files), len(pr.plan.Inputs))
	}
	p := &Process{pr: pr, sync: -1}
	if p.page, err = mapReport(o.Report); err != nil {
		return nil, err
	}
	p.rep = (*report)(unsafe.Pointer(&p.page[0]))
	*p.rep = report{ops: uint32(len(pr.ops))}
	if err := p.fork(o); err != nil {
		p.release()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { p.Kill() })
	defer stop()
	if err := p.follow(o); err != nil {
		return nil, errors.Join(context.Cause(ctx), p.abandon(err))
	}
	return p, nil
}

// mapReport maps the shared page.
func mapReport(path string) ([]byte, error) {
	const size = 4096
	if path == "" {
		page, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
		return page, os.NewSyscallError("mmap", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(int64(unsafe.Sizeof(report{}))); err != nil {
		return nil, err
	}
	page, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return page, os.NewSyscallError("mmap", err)
}

// fork moves the inputs out of the slots' way, maps the program's data and
// makes the child.
func (p *Process) fork(o Options) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	p.sync = pair[0]
	defer unix.Close(pair[1])
	prologue, held, err := inherit(p.pr.plan.Inputs, o.Files, pair[1])
	defer closeAll(held)
	if err != nil {
		return err
	}
	mem, err := unix.Mmap(-1, 0, len(p.pr.data)+1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	defer unix.Munmap(mem)
	p.pr.relocate(uintptr(unsafe.Pointer(&mem[0])), mem)
	return p.clone(append(prologue, p.pr.ops...), len(prologue), o)
}

func (p *Process) clone(ops []op, prologue int, o Options) error {
	p.rep.ops = uint32(len(ops))
	pidfd := int32(-1)
	args := &cloneArgs{
		flags:      p.pr.plan.Clone.Flags | unix.CLONE_PIDFD,
		pidfd:      uint64(uintptr(unsafe.Pointer(&pidfd))),
		exitSignal: uint64(unix.SIGCHLD),
	}
	if p.pr.plan.Clone.IntoCgroup && o.Cgroup != nil {
		args.flags |= unix.CLONE_INTO_CGROUP
		args.cgroup = uint64(o.Cgroup.Fd())
	}
	p.pr.shift = prologue
	syscall.ForkLock.Lock()
	pid, errno := spawn(args, &ops[0], uintptr(len(ops)), p.rep)
	syscall.ForkLock.Unlock()
	runtime.KeepAlive(ops)
	if errno != 0 {
		return cloneError(p.pr.plan, errno)
	}
	p.Pid, p.Pidfd = int(pid), os.NewFile(uintptr(pidfd), "pidfd")
	return nil
}

// cloneError names what clone3 may have refused.
func cloneError(p *plan.Plan, errno syscall.Errno) error {
	err := fmt.Errorf("%s: %w", p.Clone, errno)
	switch errno {
	case unix.EPERM:
		return fault.New(fault.Denied, "%w (needs root, or a user namespace)", err)
	case unix.ENOSPC, unix.EUSERS:
		return fault.New(fault.TooLarge, "%w (a limit of /proc/sys/user/max_*_namespaces is reached)", err)
	case unix.EAGAIN:
		return fault.New(fault.TooLarge, "%w (a limit on processes is reached)", err)
	case unix.EINVAL:
		return fault.New(fault.Unsupported, "%w (this kernel lacks one of the namespaces)", err)
	}
	return err
}

// inherit makes the ops that give the child its descriptors. The files are
// duplicated above all slots first, so that no dup3 hits one still needed.
func inherit(inputs []plan.Input, files []*os.File, sync int) (ops []op, held []int, err error) {
	const above = plan.SlotBase + plan.MaxSlots
	give := func(fd, to int, flags uintptr) error {
		high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, above)
		if err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		held = append(held, high)
		ops = append(ops, op{nr: unix.SYS_DUP3, arg: [6]uintptr{uintptr(high), uintptr(to), flags}, into: -1})
		return nil
	}
	for i, in := range inputs {
		flags := uintptr(unix.O_CLOEXEC)
		if in.Keep {
			flags = 0
		}
		if files[i] == nil {
			return ops, held, fault.New(fault.Internal, "launch: no file for input %s", in.What)
		}
		if err := give(int(files[i].Fd()), in.FD, flags); err != nil {
			return ops, held, err
		}
	}
	return ops, held, give(sync, plan.Sync.FD(), unix.O_CLOEXEC)
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// follow answers the child's points until it is done.
func (p *Process) follow(o Options) error {
	at := o.At
	if at == nil {
		at = func(plan.Point, *Process) error { return nil }
	}
	if err := at(Cloned, p); err != nil {
		return err
	}
	for {
		point, err := p.next()
		if err != nil || point == Cloned {
			return err
		}
		if err := at(point, p); err != nil {
			return err
		}
		if _, err := unix.Write(p.sync, []byte{1}); err != nil {
			return p.failure()
		}
		if point == plan.Ready && p.waitsForStart() {
			p.release()
			return nil
		}
	}
}

func (p *Process) waitsForStart() bool {
	for _, in := range p.pr.plan.Inputs {
		if in.What == "start" {
			return true
		}
	}
	return false
}

// next returns the point the child has reached, or Cloned when it is the
// payload now.
func (p *Process) next() (plan.Point, error) {
	var b [1]byte
	for {
		n, err := unix.Read(p.sync, b[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil && !errors.Is(err, unix.ECONNRESET):
			return 0, os.NewSyscallError("read", err)
		}
		if err := p.switchProcess(); err != nil {
			return 0, err
		}
		if n == 1 {
			return plan.Point(b[0]), nil
		}
		if err := p.failure(); err != nil {
			return 0, err
		}
		p.release()
		return Cloned, nil
	}
}

// switchProcess takes over the process that a fork op made and reaps the old one.
func (p *Process) switchProcess() error {
	if p.rep.pid == 0 || p.Pid == int(p.rep.pid) {
		return nil
	}
	pid := int(p.rep.pid)
	fd, err := unix.PidfdOpen(pid, 0) // our own unreaped child: the number cannot be another's
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	reap(p.Pidfd)
	p.Pidfd.Close()
	p.Pid, p.Pidfd = pid, os.NewFile(uintptr(fd), "pidfd")
	return nil
}

// failure reads the report after the end of file.
func (p *Process) failure() error {
	if p.rep == nil {
		return nil
	}
	return p.pr.fromReport(*p.rep)
}

// fromReport says what a report means once its child is no longer setting up:
// nil when it is the payload.
func (pr *Program) fromReport(r report) error {
	i := int(r.op) - pr.shift
	e := &StepError{Of: pr.plan.Steps(), Errno: syscall.Errno(r.errno)}
	exec := false
	if i >= 0 && i < len(pr.ops) {
		e.N = int(pr.ops[i].step) + 1
		e.Step, e.Phase = pr.plan.At(int(pr.ops[i].step))
		_, exec = e.Step.(plan.Exec)
	} else {
		e.Step, e.Phase = inheritStep{}, "inputs"
	}
	e.Exec = exec
	switch {
	case r.errno != 0:
		return e
	case exec:
		return nil
	}
	return fault.New(fault.Internal, "%s: the process was killed (step %d of %d)", e.Step, e.N, e.Of)
}

// inheritStep stands for the ops that are not in the plan.
type inheritStep struct{}

func (inheritStep) String() string     { return "inherit descriptors" }
func (inheritStep) Calls() []plan.Call { return nil }

// Kill ends the process, whatever it is doing.
func (p *Process) Kill() error {
	err := unix.PidfdSendSignal(int(p.Pidfd.Fd()), unix.SIGKILL, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return os.NewSyscallError("pidfd_send_signal", err)
}

// abandon kills and reaps the child and returns err.
func (p *Process) abandon(err error) error {
	if kerr := p.switchProcess(); kerr != nil {
		err = errors.Join(err, kerr)
	}
	if kerr := p.Kill(); kerr != nil {
		err = errors.Join(err, kerr)
	}
	reap(p.Pidfd)
	p.Pidfd.Close()
	p.release()
	return err
}

// release lets go of what only the set-up needed.
func (p *Process) release() {
	if p.sync >= 0 {
		unix.Close(p.sync)
		p.sync = -1
	}
	if p.page != nil {
		unix.Munmap(p.page)
		p.page, p.rep = nil, nil
	}
}

// reap waits for a child to end and forgets it.
func reap(pidfd *os.File) {
	for {
		err := unix.Waitid(unix.P_PIDFD, int(pidfd.Fd()), nil, unix.WEXITED, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
