package oci

import (
	"errors"
	"os"
	"path"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/under"
	"github.com/berth-engine/berth/runtime/launch"
	"github.com/berth-engine/berth/runtime/plan"
)

// A mount whose target has links on the way, or takes something of what it
// covers, asks the parent: see plan.Linked, plan.Checked, plan.Filled. All that
// is done here is done on descriptors that the child has opened.

// mountOf is the mount that a child is making.
func mountOf(child *launch.Process) (plan.Mount, error) {
	m, ok := child.Step().(plan.Mount)
	if !ok {
		return m, fault.New(fault.Internal, "no mount asks for its target: %v", child.Step())
	}
	return m, nil
}

// fetch is a descriptor of the child, by slot.
func fetch(child *launch.Process, s plan.Slot) (*os.File, error) {
	fd, err := unix.PidfdGetfd(int(child.Pidfd.Fd()), s.FD(), 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_getfd", err)
	}
	return os.NewFile(uintptr(fd), s.String()), nil
}

// makeTarget makes what is missing of a mount's target, links followed in the
// root, with the rights of the container's root.
func makeTarget(child *launch.Process) error {
	m, err := mountOf(child)
	if err != nil {
		return err
	}
	dir, err := fetch(child, plan.Root)
	if err != nil {
		return err
	}
	root := under.RootAt(dir)
	defer root.Close()
	owner, err := mappedRoot(child.Pid)
	if err != nil {
		return err
	}
	return owner.do(func() error {
		if m.IsDir {
			return root.MkdirAll(m.To, 0o755)
		}
		if _, err := root.Stat(m.To); err == nil {
			return nil
		}
		return makeFile(root, m.To)
	})
}

// makeFile makes an empty file for a mount to be on, and the directories above.
func makeFile(root *under.Root, name string) error {
	if err := root.MkdirAll(path.Dir(path.Clean("/"+name)), 0o755); err != nil {
		return err
	}
	f, err := root.Open(name, unix.O_RDONLY|unix.O_CREAT|unix.O_NONBLOCK|unix.O_NOCTTY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// checkTarget refuses a target on procfs to which a link has led: whoever
// covers it decides what programs and we read there. What is bound onto /proc
// must be one.
func checkTarget(child *launch.Process) error {
	if node, ok := child.Step().(plan.MakeNode); ok {
		return checkNode(child, node)
	}
	m, err := mountOf(child)
	if err != nil {
		return err
	}
	if m.Plain {
		tree := m.Have
		if tree == 0 {
			tree = plan.Tree
		}
		if is, err := onProc(child, tree); err != nil || is || m.To != "/proc" {
			return err
		}
		return fault.New(fault.Invalid, "mount on /proc: %s is no procfs", m.Source)
	}
	is, err := onProc(child, plan.Target)
	if err == nil && is {
		err = fault.New(fault.Invalid, "mount on %s: a link leads it into /proc", m.To)
	}
	return err
}

// checkNode compares what is in the place of a device that was to be made.
func checkNode(child *launch.Process, node plan.MakeNode) error {
	f, err := fetch(child, plan.Temp)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	const kind = unix.S_IFMT
	if uint64(st.Mode)&kind != node.Mode&kind || node.Mode&kind != unix.S_IFIFO && uint64(st.Rdev) != node.Dev {
		return fault.New(fault.Invalid, "linux.devices: there is another file at %s", node.Path)
	}
	return nil
}

func onProc(child *launch.Process, s plan.Slot) (bool, error) {
	f, err := fetch(child, s)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false, os.NewSyscallError("fstatfs", err)
	}
	return st.Type == unix.PROC_SUPER_MAGIC, nil
}

// fillMount gives a new tmpfs the mode of the directory that it covers, and a
// copy of its content.
func fillMount(child *launch.Process) error {
	m, err := mountOf(child)
	if err != nil {
		return err
	}
	from, err := fetch(child, plan.Target)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := fetch(child, plan.Tree)
	if err != nil {
		return err
	}
	defer to.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if m.Flags.CopyUp {
		owner, err := mappedRoot(child.Pid)
		if err != nil {
			return err
		}
		if err := copyTree(int(from.Fd()), int(to.Fd()), owner); err != nil {
			return fault.Op("copy to tmpfs on", m.To, err)
		}
	}
	if m.TakeMode {
		if err := unix.Fchmodat(int(to.Fd()), ".", st.Mode&0o7777, 0); err != nil {
			return os.NewSyscallError("fchmodat", err)
		}
	}
	return nil
}

// fsOwner is who makes files: root of the machine, or with ids of its own the
// root of a user namespace, with the rights of that.
type fsOwner struct{ uid, gid int }

// mappedRoot are the machine's ids of root in a process's user namespace.
func mappedRoot(pid int) (fsOwner, error) {
	uid, err := machineID(pid, "uid", 0)
	if err != nil {
		return fsOwner{}, err
	}
	gid, err := machineID(pid, "gid", 0)
	return fsOwner{int(uid), int(gid)}, err
}

// do runs make as the owner. The ids are the thread's.
func (o fsOwner) do(make func() error) error {
	if o.uid|o.gid == 0 {
		return make()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	gid, err1 := unix.SetfsgidRetGid(o.gid)
	uid, err2 := unix.SetfsuidRetUid(o.uid)
	err := errors.Join(err1, err2)
	if err == nil {
		err = make()
	}
	unix.SetfsuidRetUid(uid)
	unix.SetfsgidRetGid(gid)
	return err
}
