package oci

import (
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/runtime/plan"
)

// noPivot lists the procfs and sysfs mounts of the machine: one that is fully
// visible anywhere would let a user namespace in the container mount a new one
// without the container's masks (mount_namespaces(7)).
func noPivot(f *plan.Facts) error {
	f.NoPivot = true
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	f.Bare, err = bareMounts(string(data), f.RootPath)
	return err
}

// mountFacts is what the planner must know of the machine's mounts, in the two
// rare cases in which it must.
func (b *Bundle) mountFacts(f *plan.Facts, req *CreateRequest) error {
	var err error
	if f.Ours, err = ourNamespaces(b.Spec.Linux); err != nil {
		return err
	}
	if strings.HasSuffix(b.Spec.Linux.RootfsPropagation, "shared") {
		data, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return err
		}
		if f.RootMount, err = mountPointOf(string(data), f.RootPath); err != nil {
			return err
		}
	}
	if req.NoPivot {
		return noPivot(f)
	}
	return nil
}

// mountPointOf is the mount point that a path without links is in.
func mountPointOf(mountinfo, file string) (string, error) {
	best := ""
	for line := range strings.Lines(mountinfo) {
		p, ok := mount.ParsePoint(line)
		if !ok {
			return "", fault.New(fault.Damaged, "mountinfo: %q", line)
		}
		at := p.Path
		if len(at) > len(best) && (at == "/" || at == file || strings.HasPrefix(file, at+"/")) {
			best = at
		}
	}
	if best == "" {
		return "", fault.New(fault.NotFound, "mountinfo: no mount point for %s", file)
	}
	return best, nil
}

// bareMounts reads mountinfo, proc(5): the deepest mounts come first, so that
// each is reached before what it is mounted in goes.
func bareMounts(mountinfo, root string) ([]string, error) {
	var bare []string
	for line := range strings.Lines(mountinfo) {
		p, ok := mount.ParsePoint(line)
		if !ok {
			return nil, fault.New(fault.Damaged, "mountinfo: %q", line)
		}
		if (p.Kind == "proc" || p.Kind == "sysfs") && p.Path != root && !strings.HasPrefix(p.Path, root+"/") {
			bare = append(bare, p.Path)
		}
	}
	slices.Reverse(bare)
	return bare, nil
}

// ourNamespaces are those to be joined by path that we are in ourselves. The
// mount namespace must not be: what is mounted for the container would be
// mounted on the machine.
func ourNamespaces(l *specs.Linux) (ours uint64, err error) {
	for i, n := range l.Namespaces {
		if n.Path == "" {
			continue
		}
		file, flag := plan.NamespaceFile(n.Type)
		same, err := sameFile("/proc/self/ns/"+file, n.Path)
		switch {
		case err != nil:
			return 0, fault.New(fault.Invalid, "linux.namespaces[%d].path: %w", i, err)
		case same && n.Type == specs.MountNamespace:
			return 0, fault.New(fault.Invalid, "linux.namespaces[%d].path: %s is the runtime's own mount namespace; to be in that, leave it out", i, n.Path)
		case same:
			ours |= flag
		case !isNamespace(n.Path, flag):
			return 0, fault.New(fault.Invalid, "linux.namespaces[%d].path: %s is no %s namespace", i, n.Path, n.Type)
		}
	}
	return ours, nil
}

// isNamespace: see ioctl_ns(2). What cannot be looked at is for setns to refuse.
func isNamespace(path string, flag uint64) bool {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	return err == nil && uint64(kind) == flag
}

func sameFile(a, b string) (bool, error) {
	var x, y unix.Stat_t
	if err := unix.Stat(a, &x); err != nil {
		return false, &os.PathError{Op: "stat", Path: a, Err: err}
	}
	if err := unix.Stat(b, &y); err != nil {
		return false, &os.PathError{Op: "stat", Path: b, Err: err}
	}
	return x.Dev == y.Dev && x.Ino == y.Ino, nil
}
