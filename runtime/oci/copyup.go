package oci

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/under"
)

// maxDepth bounds how deep a copied tree may be.
const maxDepth = 128

// copier copies directories into a file system that nobody sees yet: owners,
// modes, times, links of both kinds, FIFOs, and the extended attributes that
// kept names. Devices are left out where they cannot be made. The source may be
// changing, so every name is opened without following links and is what it
// turns out to be.
type copier struct {
	owner fsOwner
	root  int // of the copy

	names map[inode]string // where a file with more names than one is, below root
	late  []copied         // those files
}

type inode struct{ dev, ino uint64 }

// copied is a file that gets its owner and the rest at the end: as long as it
// is its maker's, that may give it further names.
type copied struct {
	name  string
	st    unix.Stat_t
	attrs []attribute
}

func copyTree(from, to int, owner fsOwner) error {
	c := copier{owner: owner, root: to, names: map[inode]string{}}
	if err := c.dir(from, to, "", 0); err != nil {
		return err
	}
	for i := range c.late {
		if err := finish(to, &c.late[i]); err != nil {
			return &os.PathError{Op: "copy", Path: c.late[i].name, Err: err}
		}
	}
	return nil
}

func (c *copier) dir(from, to int, path string, depth int) error {
	if depth > maxDepth {
		return fault.New(fault.TooLarge, "directories deeper than %d", maxDepth)
	}
	fd, err := unix.Openat(from, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("openat", err)
	}
	d := os.NewFile(uintptr(fd), "directory")
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := c.entry(fd, to, path, name, depth)
		if err != nil && !errors.Is(err, unix.ENOENT) { // it went meanwhile
			return &os.PathError{Op: "copy", Path: name, Err: err}
		}
	}
	return nil
}

// entry copies what name is. path is of the directory, below the root.
func (c *copier) entry(from, to int, path, name string, depth int) error {
	fd, err := unix.Openat(from, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	f := copied{name: name}
	if err := unix.Fstat(fd, &f.st); err != nil {
		return err
	}
	at := filepath.Join(path, name)
	key := inode{f.st.Dev, f.st.Ino}
	if old, ok := c.names[key]; ok {
		return c.owner.do(func() error { return unix.Linkat(c.root, old, to, name, 0) })
	}
	switch f.st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		err = c.subdir(fd, to, at, &f, depth)
	case unix.S_IFREG:
		err = c.file(from, to, &f)
	case unix.S_IFLNK:
		err = c.link(fd, to, name)
	default:
		err = c.owner.do(func() error { return unix.Mknodat(to, name, f.st.Mode, int(f.st.Rdev)) })
		if errors.Is(err, unix.EPERM) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	if f.st.Nlink > 1 && f.st.Mode&unix.S_IFMT != unix.S_IFDIR {
		f.name = at
		c.names[inode{f.st.Dev, f.st.Ino}] = at
		c.late = append(c.late, f)
		return nil
	}
	return finish(to, &f)
}

func (c *copier) subdir(fd, to int, path string, f *copied, depth int) (err error) {
	if err := c.owner.do(func() error { return unix.Mkdirat(to, f.name, 0o700) }); err != nil {
		return err
	}
	made, err := under.OpenAt(to, f.name, unix.O_PATH|unix.O_DIRECTORY, 0, under.Beneath)
	if err != nil {
		return err
	}
	defer unix.Close(made)
	if err := c.dir(fd, made, path, depth+1); err != nil {
		return err
	}
	open, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(open)
	f.attrs, err = attributes(open)
	return err
}

// file copies a regular file; that it still is one is looked at once more.
func (c *copier) file(from, to int, f *copied) error {
	in, err := unix.Openat(from, f.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	src := os.NewFile(uintptr(in), f.name)
	defer src.Close()
	if err := unix.Fstat(in, &f.st); err != nil || f.st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.Join(err, unix.ENOENT)
	}
	if f.attrs, err = attributes(in); err != nil {
		return err
	}
	out := -1
	err = c.owner.do(func() (err error) {
		out, err = unix.Openat(to, f.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	dst := os.NewFile(uintptr(out), f.name)
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

func (c *copier) link(fd, to int, name string) error {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return err
	}
	return c.owner.do(func() error { return unix.Symlinkat(string(buf[:n]), to, name) })
}

// finish gives a copy owner, mode, attributes and times. An owner whom the file
// system's user namespace does not know stays the one who made it.
func finish(to int, f *copied) error {
	err := unix.Fchownat(to, f.name, int(f.st.Uid), int(f.st.Gid), unix.AT_SYMLINK_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EOVERFLOW) {
		return err
	}
	if f.st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Fchmodat(to, f.name, f.st.Mode&0o7777, 0); err != nil {
			return err
		}
	}
	if err := setAttributes(to, f); err != nil {
		return err
	}
	times := []unix.Timespec{f.st.Atim, f.st.Mtim}
	return unix.UtimesNanoAt(to, f.name, times, unix.AT_SYMLINK_NOFOLLOW)
}
