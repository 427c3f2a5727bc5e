package engine

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/bundle"
	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/internal/fault"
)

// deviceFacts finds the nodes of --device, and all nodes for --privileged.
func deviceFacts(h *bundle.Host, _ *parts, rec *container.Container, _ *image.Image) error {
	q := &rec.Request
	if q.Privileged {
		h.AllDevices = nodesBelow("/dev")
	}
	for _, d := range q.Devices {
		nodes, err := nodesAt(d.Host)
		if err != nil {
			return err
		}
		if h.Devices == nil {
			h.Devices = map[string][]specs.LinuxDevice{}
		}
		h.Devices[d.Host] = nodes
	}
	return nil
}

// nodesAt is one device node, or all below a directory.
func nodesAt(path string) ([]specs.LinuxDevice, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fault.New(fault.Invalid, "error gathering device information while adding custom device %q: %w", path, err)
	}
	st, err := os.Stat(real)
	if err != nil {
		return nil, fault.New(fault.Invalid, "error gathering device information while adding custom device %q: %w", path, err)
	}
	if st.IsDir() {
		nodes := nodesBelow(real)
		for i := range nodes {
			nodes[i].Path = path + strings.TrimPrefix(nodes[i].Path, real)
		}
		return nodes, nil
	}
	n, ok := node(path, st)
	if !ok {
		return nil, fault.New(fault.Invalid, "error gathering device information while adding custom device %q: not a device node", path)
	}
	return []specs.LinuxDevice{n}, nil
}

// privateDev are directories of /dev that every container has its own of.
var privateDev = map[string]bool{
	"/dev/pts": true, "/dev/shm": true, "/dev/fd": true, "/dev/mqueue": true, "/dev/console": true,
	"/dev/.lxc": true, "/dev/.lxd-mounts": true, "/dev/.udev": true,
}

// nodesBelow lists device nodes; what cannot be read is left out.
func nodesBelow(dir string) []specs.LinuxDevice {
	var nodes []specs.LinuxDevice
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil
		case privateDev[path] && d.IsDir():
			return fs.SkipDir
		case privateDev[path] || d.Type()&fs.ModeDevice == 0:
			return nil
		}
		if st, err := d.Info(); err == nil {
			if n, ok := node(path, st); ok {
				nodes = append(nodes, n)
			}
		}
		return nil
	})
	return nodes
}

func node(path string, st fs.FileInfo) (specs.LinuxDevice, bool) {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || st.Mode()&fs.ModeDevice == 0 {
		return specs.LinuxDevice{}, false
	}
	kind := "b"
	if st.Mode()&fs.ModeCharDevice != 0 {
		kind = "c"
	}
	mode := st.Mode().Perm()
	return specs.LinuxDevice{
		Path: path, Type: kind,
		Major: int64(unix.Major(uint64(sys.Rdev))), Minor: int64(unix.Minor(uint64(sys.Rdev))),
		FileMode: &mode, UID: &sys.Uid, GID: &sys.Gid,
	}, true
}
