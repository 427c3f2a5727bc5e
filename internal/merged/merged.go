// Package merged reads files of a root file system that is not mounted: the
// layers of an overlay are looked through as the kernel would merge them.
//
//	Open(mounts, dir) ─► Tree ── ReadFile("/etc/passwd") ──► bytes
//	                      │
//	                      ├─ upper   whiteout? opaque? link?
//	                      ├─ lower   …
//	                      └─ lower   nothing outside of them is ever opened
//
// It is for the few small files that decide how a container is made, or that
// explain why it was not. It does not list directories, and knows no metacopy
// and no redirects: overlays of berth have none.
package merged

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/internal/under"
)

// Tree is the directories of an overlay, topmost first, or one directory.
type Tree []*under.Root

// Open opens what root file system mounts are made of. Without mounts it is
// the directory dir.
func Open(mounts []mount.Mount, dir string) (Tree, error) {
	dirs := []string{dir}
	if len(mounts) > 0 {
		dirs = layerDirs(mounts[0])
	}
	var t Tree
	for _, d := range dirs {
		r, err := under.OpenRoot(d)
		if err != nil {
			t.Close()
			return nil, err
		}
		t = append(t, r)
	}
	return t, nil
}

// Close gives the directories back.
func (t Tree) Close() {
	for _, r := range t {
		r.Close()
	}
}

// ReadFile returns a regular file of at most limit bytes as the merged tree
// shows it: whiteouts, opaque directories and links respected. A missing one
// is fs.ErrNotExist.
func (t Tree) ReadFile(name string, limit int64) ([]byte, error) {
	layer, at, err := t.find(name)
	if err != nil {
		return nil, err
	}
	return layer.ReadFile(at, limit)
}

// Head returns the first n bytes of a regular file, or all of a shorter one.
func (t Tree) Head(name string, n int64) ([]byte, error) {
	layer, at, err := t.find(name)
	if err != nil {
		return nil, err
	}
	f, err := layer.Open(at, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "read %s: not a regular file", name)
	}
	return io.ReadAll(io.LimitReader(f, n))
}

// find says which layer shows name, and under which name it is there.
func (t Tree) find(name string) (*under.Root, string, error) {
	if len(t) == 1 {
		return t[0], name, nil
	}
	done, rest := "", path.Clean("/" + name)[1:]
	seen := t
	for links := 0; rest != ""; {
		comp, tail, _ := strings.Cut(rest, "/")
		at := path.Join(done, comp)
		kind, in, err := seen.look(at)
		if err != nil {
			return nil, "", &fs.PathError{Op: "open", Path: name, Err: err}
		}
		switch {
		case kind.IsDir():
			done, rest, seen = at, tail, in
			continue
		case kind&fs.ModeSymlink != 0:
			if links++; links > 40 {
				return nil, "", &fs.PathError{Op: "open", Path: name, Err: syscall.ELOOP}
			}
			target, err := readlink(in[0], at)
			if err != nil {
				return nil, "", err
			}
			if !path.IsAbs(target) {
				target = path.Join("/", done, target)
			}
			done, rest, seen = "", path.Join(target, tail)[1:], t
			continue
		case tail != "":
			return nil, "", &fs.PathError{Op: "open", Path: name, Err: syscall.ENOTDIR}
		}
		return in[0], at, nil
	}
	return nil, "", &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
}

// look finds name in the layers that may show it. For a directory it returns
// every layer that adds to it.
func (t Tree) look(name string) (kind fs.FileMode, in Tree, err error) {
	for _, layer := range t {
		st, err := layer.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		if whiteout(st) {
			break
		}
		if !st.IsDir() {
			if len(in) == 0 {
				return st.Mode().Type(), Tree{layer}, nil
			}
			break // a directory above hides it
		}
		kind, in = fs.ModeDir, append(in, layer)
		if opaque(layer, name) {
			break
		}
	}
	if len(in) == 0 {
		return 0, nil, syscall.ENOENT
	}
	return kind, in, nil
}

func readlink(layer *under.Root, name string) (string, error) {
	f, err := layer.Open(name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", buf)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(buf[:n]), nil
}

func whiteout(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && st.Mode()&fs.ModeCharDevice != 0 && sys.Rdev == 0
}

func opaque(layer *under.Root, name string) bool {
	f, err := layer.Open(name, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	var v [8]byte
	n, err := syscall.Getxattr("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), "trusted.overlay.opaque", v[:])
	return err == nil && n == 1 && v[0] == 'y'
}
