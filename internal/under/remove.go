package under

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// maxDepth is how many directories of a tree are held open at once. What lies
// deeper is moved up to the top of the tree first, so that neither descriptors
// nor the stack grow with what a container nested.
const maxDepth = 64

// errMounted is EBUSY in words; a type, since fmt would run at each start.
var errMounted = mounted{}

type mounted struct{}

func (mounted) Error() string { return "is a mount point, unmount it first: " + unix.EBUSY.Error() }
func (mounted) Unwrap() error { return unix.EBUSY }

// RemoveTree removes dir and everything below it. A missing dir is no error.
//
// The walk goes by descriptor, follows no link and refuses to enter a mount
// point: the error names it and what lies below it is untouched. The parent
// of dir is trusted, dir and what it holds is not.
func RemoveTree(dir string) error {
	dir = filepath.Clean(dir)
	parent, err := unix.Open(filepath.Dir(dir), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: dir, Err: err}
	}
	defer unix.Close(parent)
	if err := RemoveAt(parent, filepath.Base(dir)); err != nil {
		return &fs.PathError{Op: "remove", Path: dir, Err: err}
	}
	return nil
}

// RemoveAt is RemoveTree for the entry name, a single component, of the
// directory dirfd. Anything that is no directory is just unlinked.
func RemoveAt(dirfd int, name string) error {
	if name == "" || name == "." || name == ".." || name == "/" {
		return fault.New(fault.Invalid, "refused to remove %q", name)
	}
	err := unlink(dirfd, name, unix.DT_UNKNOWN)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%s %w", name, errMounted)
	}
	if !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	r := &remover{top: -1, buf: make([]byte, 8<<10)}
	return r.dir(dirfd, name, 0)
}

// remover deletes one tree.
type remover struct {
	top   int    // descriptor of the tree's own top directory
	moved int    // how many deep directories were moved to the top
	buf   []byte // for getdents; filled and emptied before going deeper
}

// dir empties and removes the directory name of parent.
func (r *remover) dir(parent int, name string, depth int) error {
	fd, err := OpenAt(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0, Beneath)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EXDEV):
		return fmt.Errorf("%s %w", name, errMounted)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	defer unix.Close(fd)
	if depth == 0 {
		r.top = fd
	}
	for {
		found, err := r.pass(fd, depth)
		if err != nil {
			return fmt.Errorf("%s/%w", name, err)
		}
		err = unlink(parent, name, unix.DT_DIR)
		if err == nil {
			return nil
		}
		// Entries may move while others are removed, and deep directories are
		// put into the top one on the way: list again until there are none.
		if !errors.Is(err, unix.ENOTEMPTY) || !found {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, err := unix.Seek(fd, 0, 0); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// pass removes what one listing of fd finds.
func (r *remover) pass(fd, depth int) (found bool, err error) {
	for {
		n, err := unix.Getdents(fd, r.buf)
		if err != nil || n == 0 {
			return found, err
		}
		var dirs []string
		for name, kind := range entries(r.buf[:n]) {
			found = true
			err := unlink(fd, name, kind)
			if errors.Is(err, unix.ENOTEMPTY) {
				dirs = append(dirs, name)
				continue
			}
			if errors.Is(err, unix.EBUSY) {
				return found, fmt.Errorf("%s %w", name, errMounted)
			}
			if err != nil {
				return found, fmt.Errorf("%s: %w", name, err)
			}
		}
		for _, name := range dirs {
			if err := r.deeper(fd, name, depth+1); err != nil {
				return found, err
			}
		}
	}
}

// deeper removes the directory name of fd, or moves it to the top.
func (r *remover) deeper(fd int, name string, depth int) error {
	if depth < maxDepth {
		return r.dir(fd, name, depth)
	}
	for {
		r.moved++
		err := unix.Renameat2(fd, name, r.top, "berth-deep-"+strconv.Itoa(r.moved), unix.RENAME_NOREPLACE)
		if !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
}

// unlink removes one entry; kind is a DT_ value and spares a call when known.
// A directory with entries gives ENOTEMPTY, an entry that is gone gives nil.
func unlink(dirfd int, name string, kind byte) error {
	flags := 0
	if kind == unix.DT_DIR {
		flags = unix.AT_REMOVEDIR
	}
	err := unix.Unlinkat(dirfd, name, flags)
	if kind == unix.DT_UNKNOWN && errors.Is(err, unix.EISDIR) {
		flags = unix.AT_REMOVEDIR
		err = unix.Unlinkat(dirfd, name, flags)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EEXIST): // POSIX lets rmdir say so for ENOTEMPTY
		return unix.ENOTEMPTY
	case errors.Is(err, unix.EPERM) && thaw(dirfd, name):
		return unix.Unlinkat(dirfd, name, flags)
	}
	return err
}
