package oci

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/runtime/launch"
	"github.com/berth-engine/berth/runtime/plan"
)

// at does the parent's part of the making.
func (c *creation) at(ctx context.Context, p plan.Point, child *launch.Process) error {
	name := "cloned"
	if p != launch.Cloned {
		name = p.String()
	}
	if err := c.r.reach(name); err != nil {
		return err
	}
	// It may have gone on in a new process since the last point.
	if err := c.born(child.Pid); err != nil {
		return err
	}
	switch p {
	case plan.Grouped:
		return c.groupsMade()
	case plan.Born:
		if err := raiseLimits(child.Pid, c.spec.Process.Rlimits); err != nil {
			return err
		}
		if err := writeMaps(child.Pid, c.spec); err != nil {
			return err
		}
		var err error
		c.moved, err = moveDevices(child.Pid, c.spec.Linux)
		c.undo.Add(c.moved.back)
		return err
	case plan.Rooted:
		return c.rooted(ctx, child)
	case plan.Linked:
		return makeTarget(child)
	case plan.Checked:
		return checkTarget(child)
	case plan.Filled:
		return fillMount(child)
	case plan.Listening:
		return handListener(child, plan.Listener(len(c.req.Preserve)), c.spec.Linux.Seccomp, c.st.State)
	case plan.Ready:
		c.st.Status = specs.StateCreated
		return c.r.startContainer(ctx, c.st, c.spec, startHooks(c.spec, c.req))
	}
	return nil
}

// startHooks are the startContainer hooks if they are for Create to run.
func startHooks(s *specs.Spec, req *CreateRequest) []specs.Hook {
	if !req.Start || s.Hooks == nil {
		return nil
	}
	return s.Hooks.StartContainer
}

// born records the process that is to be the payload; it is busy already, so
// the writing costs no time of the start.
func (c *creation) born(pid int) error {
	if c.st.Pid == pid {
		return nil
	}
	ticks, err := kernel.StartTicks(pid)
	if err != nil {
		return err
	}
	c.proc.StartTicks = ticks
	c.st.Pid, c.st.StartTicks, c.st.Boot = pid, ticks, kernel.BootID()
	return c.r.save(c.st)
}

func (c *creation) rooted(ctx context.Context, child *launch.Process) error {
	if c.spec.Process.Terminal {
		if err := c.console(child); err != nil {
			return err
		}
	}
	return c.createHooks(ctx)
}

// console takes the pty's master out of the child, which made it in the
// container's own devpts.
func (c *creation) console(child *launch.Process) error {
	master, err := takeConsole(child, c.spec.Process.ConsoleSize)
	if err != nil {
		return err
	}
	return c.handMaster(master)
}

// handMaster gives a terminal's master to who wants it, or keeps it for who
// called us.
func (c *creation) handMaster(master *os.File) error {
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
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
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

// writeMaps writes the child's user and group id maps and clock offsets.
func writeMaps(pid int, s *specs.Spec) error {
	l := *s.Linux
	if !makesNamespace(s, specs.UserNamespace) {
		l.UIDMappings, l.GIDMappings = nil, nil
	}
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
