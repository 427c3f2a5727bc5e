package oci

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/under"
)

// maxDepth bounds how deep a copied tree may be.
const maxDepth = 128

// copier copies directories into a file system that nobody sees yet: owners,
// modes, times, links and FIFOs; no extended attributes, and what are two
// names of one file become two files. Devices are left out where they cannot
// be made. The source may be changing, so every name is opened without
// following links and is what it turns out to be.
type copier struct{ owner fsOwner }

func (c *copier) dir(from, to, depth int) error {
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
		err := c.entry(fd, to, name, depth)
		if err != nil && !errors.Is(err, unix.ENOENT) { // it went meanwhile
			return &os.PathError{Op: "copy", Path: name, Err: err}
		}
	}
	return nil
}

func (c *copier) entry(from, to int, name string, depth int) error {
	fd, err := unix.Openat(from, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		err = c.subdir(fd, to, name, depth)
	case unix.S_IFREG:
		err = c.file(from, to, name, &st)
	case unix.S_IFLNK:
		err = c.link(fd, to, name)
	default:
		err = c.owner.do(func() error { return unix.Mknodat(to, name, st.Mode, int(st.Rdev)) })
		if errors.Is(err, unix.EPERM) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return finish(to, name, &st)
}

func (c *copier) subdir(fd, to int, name string, depth int) error {
	if err := c.owner.do(func() error { return unix.Mkdirat(to, name, 0o700) }); err != nil {
		return err
	}
	made, err := under.OpenAt(to, name, unix.O_PATH|unix.O_DIRECTORY, 0, under.Beneath)
	if err != nil {
		return err
	}
	defer unix.Close(made)
	return c.dir(fd, made, depth+1)
}

// file copies a regular file; that it still is one is looked at once more.
func (c *copier) file(from, to int, name string, st *unix.Stat_t) error {
	in, err := unix.Openat(from, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	src := os.NewFile(uintptr(in), name)
	defer src.Close()
	if err := unix.Fstat(in, st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.Join(err, unix.ENOENT)
	}
	out := -1
	err = c.owner.do(func() (err error) {
		out, err = unix.Openat(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	dst := os.NewFile(uintptr(out), name)
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

// finish gives a copy owner, mode and times. An owner whom the file system's
// user namespace does not know stays the one who made it.
func finish(to int, name string, st *unix.Stat_t) error {
	err := unix.Fchownat(to, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EOVERFLOW) {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Fchmodat(to, name, st.Mode&0o7777, 0); err != nil {
			return err
		}
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return unix.UtimesNanoAt(to, name, times, unix.AT_SYMLINK_NOFOLLOW)
}
