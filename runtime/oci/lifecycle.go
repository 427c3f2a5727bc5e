package oci

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/cgroup"
)

func utoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func owner() string {
	if os.Getuid() == 0 {
		return "root"
	}
	return utoa(uint32(os.Getuid()))
}

// Start lets the payload of a created container run. When the payload cannot
// be executed the error says why.
func (r *Runtime) Start(ctx context.Context, id string) error {
	s, err := r.State(id)
	if err != nil {
		return err
	}
	switch s.Status {
	case specs.StateCreated:
	case specs.StateStopped:
		return fault.New(fault.NotRunning, "cannot start a container that has stopped")
	default:
		return fault.New(fault.Conflict, "cannot start a container that is %s", s.Status)
	}
	if s.Program == "" {
		return fault.New(fault.Invalid, "cannot start container %s: process: missing in its config.json", id)
	}
	fifo, err := r.claim(id)
	if err != nil {
		return err
	}
	defer unix.Close(fifo)
	spec, err := r.hooked(s)
	if err != nil {
		return err
	}
	if err := r.startContainer(ctx, s, spec, spec.Hooks.StartContainer); err != nil {
		return errors.Join(err, r.stop(s))
	}
	if err := r.release(ctx, s, fifo); err != nil {
		return err
	}
	s.Status = specs.StateRunning
	if err := r.runHooks(ctx, s, "poststart", spec.Hooks.Poststart, true); err != nil {
		return errors.Join(err, r.stop(s))
	}
	return nil
}

// claim opens the FIFO and keeps others from starting the container at the
// same time; they are let in again when the descriptor is closed, even by death.
func (r *Runtime) claim(id string) (int, error) {
	name := r.startFile(id)
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return -1, fault.New(fault.Conflict, "start %s: another start was faster", id)
	case err != nil: // ENXIO: nobody waits there
		return -1, fault.New(fault.NotRunning, "start %s: %w", id, err)
	}
	err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		_, err = os.Lstat(name) // a faster start may have been over before we had the lock
	}
	if err != nil {
		unix.Close(fd)
		return -1, fault.New(fault.Conflict, "start %s: another start was faster", id)
	}
	return fd, nil
}

// stop kills the payload of a container whose hook failed; the rest is for delete.
func (r *Runtime) stop(s *State) error {
	fd, err := r.pidfd(s)
	if err != nil {
		return nil //nolint:nilerr // it has ended
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deletePatience)
	defer cancel()
	pollDeath(ctx, fd)
	return nil
}

// hooked reads the specification of a container that has hooks; any other has
// an empty one.
func (r *Runtime) hooked(s *State) (*specs.Spec, error) {
	if !s.Hooks {
		return &specs.Spec{Hooks: &specs.Hooks{}}, nil
	}
	spec, err := readSpec(r.config(s.ID))
	if err != nil {
		return nil, err
	}
	if spec.Hooks == nil {
		spec.Hooks = &specs.Hooks{}
	}
	return spec, nil
}

// release writes to the FIFO and waits for its end, which is exec or death.
// The name goes after the write: whoever dies in between has started the
// container, and not made one that waits for ever.
func (r *Runtime) release(ctx context.Context, s *State, fifo int) error {
	if _, err := unix.Write(fifo, []byte{1}); errors.Is(err, unix.EPIPE) {
		return fault.New(fault.NotRunning, "cannot start a container that has stopped")
	} else if err != nil {
		return os.NewSyscallError("write", err)
	}
	if err := os.Remove(r.startFile(s.ID)); err != nil {
		return err
	}
	if err := awaitEnd(ctx, fifo); err != nil {
		return err
	}
	if err := r.execFailure(s); err != nil {
		return errors.Join(err, r.stop(s)) // it ends by itself; the next command finds it stopped
	}
	return nil
}

// awaitEnd waits until nobody has the reading end any more.
func awaitEnd(ctx context.Context, fd int) error {
	for {
		p := []unix.PollFd{{Fd: int32(fd)}}
		_, err := unix.Poll(p, 100)
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return os.NewSyscallError("poll", err)
		case p[0].Revents&unix.POLLERR != 0:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// execFailure reads the report that the child left.
func (r *Runtime) execFailure(s *State) error {
	data, err := os.ReadFile(r.report(s.ID))
	if err != nil || len(data) < 8 {
		return err
	}
	errno := syscall.Errno(binary.NativeEndian.Uint32(data[4:]))
	if errno == 0 {
		return nil
	}
	at, p := r.siteOf(s)
	return explainErrno(at, p, errno, errno)
}

// Kill sends a signal to the container's process, or with all to every process
// in its groups.
func (r *Runtime) Kill(id string, sig syscall.Signal, all bool) error {
	s, err := r.State(id)
	if err != nil {
		return err
	}
	if all {
		return r.killAll(s, sig)
	}
	if s.Status == specs.StateStopped {
		return fault.New(fault.NotRunning, "container not running")
	}
	fd, err := r.pidfd(s)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		return fault.New(fault.NotRunning, "kill %s: %w", id, err)
	}
	return nil
}

// pidfd opens the process and makes sure that it is still the one.
func (r *Runtime) pidfd(s *State) (int, error) {
	fd, err := unix.PidfdOpen(s.Pid, 0)
	if err != nil {
		return -1, fault.New(fault.NotRunning, "container not running: %w", err)
	}
	if !s.alive() {
		unix.Close(fd)
		return -1, fault.New(fault.NotRunning, "container not running")
	}
	return fd, nil
}

func (r *Runtime) killAll(s *State, sig syscall.Signal) error {
	m, err := cgroup.Reopen(s.Cgroups)
	if err != nil {
		return err
	}
	if sig == unix.SIGKILL {
		return m.Kill()
	}
	pids, err := m.Pids()
	for _, pid := range pids {
		if serr := signalMember(m, pid, sig); serr != nil {
			err = errors.Join(err, serr)
		}
	}
	return err
}

// signalMember signals a process of the groups. Its number may have a new
// owner by now: it is pinned first, and must still be listed then.
func signalMember(m cgroup.Manager, pid int, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil //nolint:nilerr // it is gone
	}
	defer unix.Close(fd)
	now, err := m.Pids()
	if err != nil || !slices.Contains(now, pid) {
		return err
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	return nil
}

// Freeze pauses or resumes a container.
func (r *Runtime) Freeze(ctx context.Context, id string, on bool) error {
	s, err := r.State(id)
	if err != nil {
		return err
	}
	running := s.Status == specs.StateRunning || s.Status == specs.StateCreated
	switch {
	case on && !running:
		return fault.New(fault.Conflict, "cannot pause a container that is %s", s.Status)
	case !on && s.Status != StatePaused:
		return fault.New(fault.Conflict, "container is not paused, it is %s", s.Status)
	}
	m, err := cgroup.Reopen(s.Cgroups)
	if err != nil {
		return err
	}
	return m.Freeze(ctx, on)
}

// Cgroup returns the manager of a container's groups.
func (r *Runtime) Cgroup(id string) (cgroup.Manager, error) {
	s, err := r.State(id)
	if err != nil {
		return nil, err
	}
	return cgroup.Reopen(s.Cgroups)
}

// Spec returns the specification that a container was created with.
func (r *Runtime) Spec(id string) (*specs.Spec, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	return readSpec(r.config(id))
}

// deletePatience bounds the wait for killed processes to be gone.
const deletePatience = 10 * time.Second

// Delete removes a stopped container; with force it is killed first, and one
// that does not exist is no error.
func (r *Runtime) Delete(ctx context.Context, id string, force bool) error {
	s, err := r.State(id)
	if err != nil {
		if force && errors.Is(err, fault.NotFound) {
			return r.removeRest(id)
		}
		return err
	}
	if s.Status != specs.StateStopped && !force {
		return fault.New(fault.Conflict, "cannot delete container %s that is not stopped: %s", id, s.Status)
	}
	ctx, cancel := context.WithTimeout(ctx, deletePatience)
	defer cancel()
	if err := errors.Join(r.end(ctx, s), detachRoot(s), s.Resctrl.Remove()); err != nil {
		return err
	}
	spec, err := r.hooked(s)
	// The record goes first: a hook that looks finds the container deleted.
	if rerr := r.forget(id); rerr != nil {
		return rerr
	}
	if err != nil {
		r.warn(fault.Op("poststop hooks of", id, err))
		return nil
	}
	s.Status, s.Pid = specs.StateStopped, 0
	return r.runHooks(ctx, s, "poststop", spec.Hooks.Poststop, false)
}

// removeRest takes away what an interrupted create left.
func (r *Runtime) removeRest(id string) error {
	if err := CheckID(id); err != nil {
		return err
	}
	if _, err := os.Lstat(r.dir(id)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return r.forget(id)
}

// end makes sure that no process is left and removes the groups.
func (r *Runtime) end(ctx context.Context, s *State) error {
	m, err := cgroup.Reopen(s.Cgroups)
	if err != nil {
		return err
	}
	if s.alive() {
		if fd, err := r.pidfd(s); err == nil {
			unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			defer unix.Close(fd)
			defer pollDeath(ctx, fd)
		}
	}
	// As a rule the group is empty: one try without patience is enough.
	now, cancel := context.WithCancel(ctx)
	cancel()
	if err := m.Remove(now); !errors.Is(err, fault.Conflict) {
		return err
	}
	// A process of a shared pid namespace does not end with its first one.
	if err := m.Kill(); err != nil {
		return err
	}
	return m.Remove(ctx)
}

// pollDeath waits for a process to be gone.
func pollDeath(ctx context.Context, pidfd int) {
	for ctx.Err() == nil {
		p := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		if n, err := unix.Poll(p, 100); n > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
			return
		}
	}
}
