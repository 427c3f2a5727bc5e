package oci

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Where the runtime itself is in a user namespace, as under an engine without
// root, nobody may make device nodes: the machine's own are bound.
func TestDevicesWithinUserNamespace(t *testing.T) {
	maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1 << 16}}
	if !elsewhere(t, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: maps, GidMappings: maps, GidMappingsEnableSetgroups: true}) {
		return
	}
	// Groups of the machine are not this user's either.
	if err := unix.MountSetattr(unix.AT_FDCWD, "/sys/fs/cgroup", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		t.Fatal(err)
	}
	p := newPod(t, "echo x > /dev/null && stat -c %t:%T /dev/null /dev/full")
	if got := p.says(); got != "1:3\n1:7\n" {
		t.Errorf("%q", got)
	}
}
