package apart

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/kernel"
)

// initProcess is pid 1 of the new pid namespace: it makes the namespaces
// usable, starts the work and reaps whatever is left to it.
func initProcess(o Options, scratch string) (int, error) {
	runtime.LockOSThread() // which has the namespaces, and is the parent of the work
	if err := furnish(scratch); err != nil {
		return 1, err
	}
	if o.Groups {
		if err := ownGroups(Group(scratch)); err != nil {
			return 1, err
		}
	}
	cmd := same("work", scratch)
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 1, err
		case pid == cmd.Process.Pid && ws.Signaled():
			return 128 + int(ws.Signal()), nil
		case pid == cmd.Process.Pid:
			return ws.ExitStatus(), nil
		}
	}
}

func furnish(scratch string) error {
	step := func(what string, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
	return errors.Join(
		step("make mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")),
		step("mount proc", unix.Mount("proc", "/proc", "proc", 0, "")),
		step("mount /run", unix.Mount("run", "/run", "tmpfs", 0, "mode=755")),
		step("make /dev/null", ownNull(filepath.Join(scratch, "null"))),
		step("bring lo up", kernel.RaiseLoopback()),
	)
}

// ownNull puts a /dev/null of our own over the machine's: crun gives its stdin
// to the payload's user, whatever it is.
func ownNull(node string) error {
	if err := unix.Mknod(node, unix.S_IFCHR, int(unix.Mkdev(1, 3))); err != nil {
		return err
	}
	if err := unix.Chmod(node, 0o666); err != nil {
		return err
	}
	return unix.Mount(node, "/dev/null", "", unix.MS_BIND, "")
}

// HideControllers shows an empty list of controllers in the unified part of a
// hybrid tree, to this mount namespace only: crun refuses such a tree while it
// has one. Nothing of the machine changes.
func HideControllers(scratch string) error {
	const list = "/sys/fs/cgroup/unified/cgroup.controllers"
	text, err := os.ReadFile(list)
	if err != nil || strings.TrimSpace(string(text)) == "" {
		return nil // not a hybrid tree, or an empty one
	}
	empty := filepath.Join(scratch, "no-controllers")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		return err
	}
	return os.NewSyscallError("mount", unix.Mount(empty, list, "", unix.MS_BIND, ""))
}
