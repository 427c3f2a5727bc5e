package oci

import (
	"errors"
	"io/fs"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
)

// A container without a mount namespace has its mounts in ours: its root is
// attached over the directory root.path, and everything else is mounted below.
// So one call takes all of it away. Which mount it is, is known by the one it
// lies on, whose number is recorded before there is anything:
//
//	root.path ── mount 41 (State.Below) ── the container's root ── /proc, /dev, …

// underRoot is the number of the mount that the root of such a container will lie
// on; 0: it has a mount namespace.
func underRoot(s *specs.Spec, root string) (uint64, error) {
	if s.Linux == nil || hasNamespace(s, specs.MountNamespace) {
		return 0, nil
	}
	return mountAt(root)
}

// mountAt is the number of the topmost mount at a path, as mountinfo has it.
func mountAt(path string) (uint64, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &st); err != nil {
		return 0, &os.PathError{Op: "statx", Path: path, Err: err}
	}
	return st.Mnt_id, nil
}

// detachRoot takes away what such a container has mounted.
func detachRoot(s *State) error {
	if s.Below == 0 {
		return nil
	}
	top, err := mountAt(s.Rootfs)
	if errors.Is(err, fs.ErrNotExist) || err == nil && top == s.Below {
		return nil // nothing is attached, or no more
	}
	if err != nil {
		return err
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	switch lies, on, known := mountOn(string(info), s.Rootfs, top, s.Below); {
	case !known:
		return nil // the mount it lay on is gone, or we are in another mount namespace
	case !lies:
		return fault.New(fault.Conflict, "root.path: on %s something is mounted that the container has not: mount %d on mount %d; unmount it first", s.Rootfs, top, on)
	}
	if err := unix.Unmount(s.Rootfs, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return fault.Op("detach root", s.Rootfs, os.NewSyscallError("umount2", err))
	}
	return nil
}

// mountOn reads mountinfo, proc_pid_mountinfo(5). It says on which mount the
// mount top lies, whether that is below and top is a mount at path, and whether
// there is a mount below at all.
func mountOn(info, path string, top, below uint64) (lies bool, on uint64, known bool) {
	for _, p := range mount.Points(info) {
		known = known || uint64(p.ID) == below
		if uint64(p.ID) == top {
			on = uint64(p.Parent)
			lies = on == below && p.Path == path
		}
	}
	return lies, on, known
}
