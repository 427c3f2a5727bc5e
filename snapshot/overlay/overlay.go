// Package overlay is the snapshot driver for the kernel's overlay file system.
//
//	keys/KEY/fs     upper directory: what the container wrote
//	keys/KEY/work   overlay's own scratch space, on the same file system
//
// The layers below are used as they are. Mounts returns one mount:
//
//	overlay lowerdir=TOP:…:LOWEST,upperdir=…/fs,workdir=…/work,…
//
// Kernels before 6.8 take all options in one page of 4096 bytes; with the
// store in /var/lib/berth/snapshots 127 layers fit.
package overlay

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/internal/under"
	"github.com/berth-engine/berth/snapshot"
)

const (
	upper = "fs"
	work  = "work"
)

// fixed are the options of every mount, whatever the kernel was built with:
//
//	index=off             an index ties the upper directory to these very lower ones
//	metacopy=off          an upper file without its data is lost with its lower layer
//	redirect_dir=nofollow a renamed directory is copied; a redirect that an image
//	                      brought along means nothing
//	xino=auto             one device number for the whole tree
var fixed = [...]string{"index=off", "metacopy=off", "redirect_dir=nofollow", "xino=auto"}

// Driver implements snapshot.Driver and snapshot.Sizer.
type Driver struct{ root string }

// New returns the driver of the store at root. It looks at nothing yet.
func New(root string) (*Driver, error) {
	if strings.ContainsAny(root, ":,\\") {
		return nil, fault.New(fault.Invalid, "snapshot root %q: overlay cannot have ':', ',' or '\\' in a path", root)
	}
	return &Driver{root: filepath.Clean(root)}, nil
}

// Create makes the upper and the work directory. The root of the merged tree
// is the upper directory, so that gets owner and mode of the top layer's.
func (d *Driver) Create(t snapshot.Tree, parents []snapshot.Tree) error {
	if err := usable(t.Dir); err != nil {
		return err
	}
	var st syscall.Stat_t
	if err := syscall.Stat(parents[0].Dir, &st); err != nil {
		return &os.PathError{Op: "stat", Path: parents[0].Dir, Err: err}
	}
	dir := filepath.Join(t.Dir, upper)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid() {
		if err := os.Lchown(dir, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if err := unix.Chmod(dir, st.Mode&0o7777); err != nil {
		return &os.PathError{Op: "chmod", Path: dir, Err: err}
	}
	return os.Mkdir(filepath.Join(t.Dir, work), 0o700)
}

// Mounts returns the one overlay mount; read-only it has no upper directory.
func (d *Driver) Mounts(t snapshot.Tree, parents []snapshot.Tree, ro bool) []mount.Mount {
	lower := make([]string, 0, len(parents)+1)
	options := make([]string, 0, len(fixed)+4)
	if ro {
		lower = append(lower, filepath.Join(t.Dir, upper))
	}
	for _, p := range parents {
		lower = append(lower, p.Dir)
	}
	options = append(options, "lowerdir="+strings.Join(lower, ":"))
	if ro {
		options = append(options, "ro")
	} else {
		options = append(options, "upperdir="+filepath.Join(t.Dir, upper), "workdir="+filepath.Join(t.Dir, work))
	}
	return []mount.Mount{{Type: "overlay", Source: "overlay", Options: append(options, fixed[:]...)}}
}

// Volatile adds the option of that name: without it the kernel writes the whole
// upper file system to disk when the overlay goes, for milliseconds or, on a
// busy disk, much longer. The kernel leaves a mark in the work directory and
// refuses a second mount while it is there.
func (d *Driver) Volatile(t snapshot.Tree, parents []snapshot.Tree) ([]mount.Mount, error) {
	if err := under.RemoveTree(filepath.Join(t.Dir, work, "work", "incompat")); err != nil {
		return nil, err
	}
	m := d.Mounts(t, parents, false)
	m[0].Options = append(m[0].Options, "volatile")
	return m, nil
}

// Remove deletes the tree. Overlay leaves work/work with mode 0, which does not
// hinder root.
func (d *Driver) Remove(t snapshot.Tree) error { return under.RemoveTree(t.Dir) }

// Own returns the upper directory.
func (d *Driver) Own(t snapshot.Tree) (string, bool) { return filepath.Join(t.Dir, upper), true }
