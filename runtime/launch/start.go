package launch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
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

	pr   *Program
	told *os.File // the report, while Start runs
	sync int
}

// Step is what the child is doing, or waiting in; only for Options.At.
func (p *Process) Step() plan.Step {
	op := p.report(reportOp)
	if op < 0 || op >= len(p.pr.ops) {
		return nil
	}
	s, _ := p.pr.plan.At(int(p.pr.steps[op]))
	return s
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
	if p.told, err = makeReport(o.Report); err != nil {
		return nil, err
	}
	if err := p.spawn(o); err != nil {
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

// The report is what the child tells without a descriptor of its own: a file
// that it has mapped, and we read. All numbers are 32 bits wide, in the machine's order.
//
//	0  op     index of the op being run
//	4  errno  why it failed; 0 while nothing has
//	8  pid    the process that goes on after a fork op, host's view
const (
	reportOp    = 0
	reportErrno = 4
	reportPid   = 8
	reportSize  = 16
)

// makeReport makes it.
func makeReport(path string) (f *os.File, err error) {
	if path == "" {
		fd, merr := unix.MemfdCreate("berth-report", unix.MFD_CLOEXEC)
		f, err = os.NewFile(uintptr(fd), "report"), os.NewSyscallError("memfd_create", merr)
	} else {
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(reportSize); err != nil {
		f.Close()
		return nil, fault.Op("launch: report", path, err)
	}
	return f, nil
}

// report reads a number of it, -1 if it cannot. It is not mapped here: to take
// a mapping away again stops the other processors for a moment.
func (p *Process) report(at int64) int {
	var b [4]byte
	if _, err := p.told.ReadAt(b[:], at); err != nil {
		return -1
	}
	return int(int32(binary.NativeEndian.Uint32(b[:])))
}

// spawn makes the child: package syscall's own fork, with the plan's
// namespaces, and the image as the program.
func (p *Process) spawn(o Options) error {
	image, err := p.pr.sealedImage()
	if err != nil {
		return err
	}
	defer image.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	p.sync = pair[0]
	defer unix.Close(pair[1])
	files, err := childFiles(p.pr.plan.Inputs, o.Files)
	if err != nil {
		return err
	}
	// The image has a number of its own, too: package syscall moves descriptors
	// about on the way and would overwrite one that it does not know of.
	files[plan.Image.FD()] = image.Fd()
	files[plan.Sync.FD()] = uintptr(pair[1])
	files[plan.Report.FD()] = p.told.Fd()
	return p.forkExec(files, o.Cgroup)
}

// childFiles places the inputs under their numbers; everything else is closed.
func childFiles(inputs []plan.Input, files []*os.File) ([]uintptr, error) {
	table := make([]uintptr, plan.SlotBase+plan.MaxSlots)
	for i := range table {
		table[i] = ^uintptr(0)
	}
	for i, in := range inputs {
		switch {
		case files[i] == nil:
			return nil, fault.New(fault.Internal, "launch: no file for input %s", in.What)
		case in.FD >= len(table) || table[in.FD] != ^uintptr(0):
			return nil, fault.New(fault.TooLarge, "launch: input %s: no room for descriptor %d", in.What, in.FD)
		}
		table[in.FD] = files[i].Fd()
	}
	return table, nil
}

func (p *Process) forkExec(files []uintptr, cgroup *os.File) error {
	defer kernel.UsualThread()()
	pidfd := -1
	sys := &syscall.SysProcAttr{Cloneflags: uintptr(p.pr.plan.Clone.Flags), PidFD: &pidfd}
	if p.pr.plan.Clone.IntoCgroup && cgroup != nil {
		sys.UseCgroupFD, sys.CgroupFD = true, int(cgroup.Fd())
	}
	pid, err := syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(plan.Image.FD()), []string{"berth"}, &syscall.ProcAttr{Files: files, Sys: sys})
	if err != nil {
		return Refused(p.pr.plan.Clone.String(), err)
	}
	if pidfd < 0 { // before Linux 5.4
		if pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
			syscall.Kill(pid, syscall.SIGKILL)
			syscall.Wait4(pid, nil, 0, nil)
			return os.NewSyscallError("pidfd_open", err)
		}
	}
	p.Pid, p.Pidfd = pid, os.NewFile(uintptr(pidfd), "pidfd")
	return nil
}

// Refused says what the kernel may have against a new process, or a new
// namespace: what is the thing that it refused with cause.
func Refused(what string, cause error) error {
	err := fmt.Errorf("%s: %w", what, cause)
	switch {
	case errors.Is(cause, unix.EPERM):
		return fault.New(fault.Denied, "%w (needs root, or a user namespace)", err)
	case errors.Is(cause, unix.ENOSPC), errors.Is(cause, unix.EUSERS):
		return fault.New(fault.TooLarge, "%w (a limit of /proc/sys/user/max_*_namespaces is reached)", err)
	case errors.Is(cause, unix.EAGAIN):
		return fault.New(fault.TooLarge, "%w (a limit on processes is reached)", err)
	case errors.Is(cause, unix.EINVAL):
		return fault.New(fault.Unsupported, "%w (this kernel lacks one of the namespaces)", err)
	case errors.Is(cause, unix.EACCES):
		return fault.New(fault.Denied, "%w (vm.memfd_noexec forbids programs in memory)", err)
	}
	return err
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
	pid := p.report(reportPid)
	if pid == 0 || p.Pid == pid {
		return nil
	}
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

// failure reads the report after the end of file: nil when the child is the
// payload.
func (p *Process) failure() error {
	return p.pr.fromReport(p.report(reportOp), syscall.Errno(p.report(reportErrno)))
}

// fromReport says what a report means once its child is no longer setting up.
func (pr *Program) fromReport(op int, errno syscall.Errno) error {
	if op < 0 || op >= len(pr.ops) {
		return fault.New(fault.Damaged, "launch: the child reports operation %d of %d", op, len(pr.ops))
	}
	n := int(pr.steps[op])
	e := &StepError{N: n + 1, Of: pr.plan.Steps(), Errno: errno}
	e.Step, e.Phase = pr.plan.At(n)
	_, e.Exec = e.Step.(plan.Exec)
	switch {
	case errno != 0:
		return e
	case e.Exec:
		return nil
	}
	return fault.New(fault.Internal, "%s: the process was killed (step %d of %d)", e.Step, e.N, e.Of)
}

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
	if p.told != nil {
		p.told.Close()
		p.told = nil
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
