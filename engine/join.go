package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/bundle"
	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/internal/fault"
)

// joinFacts finds the namespaces of container:X, and the shared memory that
// goes with an ipc namespace.
func (r *rooms) joinFacts(h *bundle.Host, _ *parts, rec *container.Container, _ *image.Image) error {
	q := &rec.Request
	for _, j := range []struct {
		mode string
		kind specs.LinuxNamespaceType
		file string
	}{
		{q.Network, specs.NetworkNamespace, "net"},
		{q.PID, specs.PIDNamespace, "pid"},
		{q.IPC, specs.IPCNamespace, "ipc"},
	} {
		name, ok := strings.CutPrefix(j.mode, "container:")
		if !ok {
			continue
		}
		other, pid, err := r.joinable(name)
		if err != nil {
			return err
		}
		if pid != 0 {
			h.Namespaces[j.kind] = filepath.Join("/proc", strconv.Itoa(pid), "ns", j.file)
		}
		switch j.kind {
		case specs.NetworkNamespace:
			h.JoinedHostname = other.Request.Hostname
			if h.JoinedHostname == "" {
				h.JoinedHostname = other.ID[:container.ShortLen]
			}
		case specs.IPCNamespace:
			if other.Request.IPC == "shareable" {
				h.ShmPath = filepath.Join(r.runDir(other.ID), shmDir)
			}
		}
	}
	if q.IPC == "shareable" {
		h.ShmPath = filepath.Join(r.runDir(rec.ID), shmDir)
	}
	return nil
}

// joinable finds the container X of container:X and its first process.
func (r *rooms) joinable(name string) (*container.Container, int, error) {
	records, err := r.records()
	if err != nil {
		return nil, 0, err
	}
	other, err := records.Find(name)
	if err != nil {
		return nil, 0, err
	}
	s, err := r.truth(context.Background(), other.ID)
	if err != nil || !alive(s.State) {
		return other, 0, err
	}
	return other, s.Pid, nil
}

// shmDir in a container's run directory is the /dev/shm of --ipc shareable,
// which others may join.
const shmDir = "shm"

// mountShm makes the shared memory of --ipc shareable, once per boot.
func mountShm(dir string, size int64) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if mounted(dir) {
		return nil
	}
	if size <= 0 {
		size = 64 << 20
	}
	err := unix.Mount("shm", dir, "tmpfs", unix.MS_NOEXEC|unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size="+strconv.FormatInt(size, 10))
	return fault.Op("mount shared memory", dir, err)
}

// mounted reports whether dir is on another file system than its parent.
func mounted(dir string) bool {
	var a, b syscall.Stat_t
	if syscall.Lstat(dir, &a) != nil || syscall.Lstat(filepath.Dir(dir), &b) != nil {
		return false
	}
	return a.Dev != b.Dev
}

// unmountShm undoes mountShm of a run directory.
func unmountShm(runDir string) error {
	dir := filepath.Join(runDir, shmDir)
	for range 8 {
		if !mounted(dir) {
			return nil
		}
		if err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
			return fault.Op("unmount shared memory", dir, err)
		}
	}
	return fault.New(fault.Conflict, "shared memory %s stays mounted", dir)
}
