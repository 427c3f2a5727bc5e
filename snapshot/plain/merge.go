package plain

import (
	"errors"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/under"
)

// maxNesting ends the walk in a tree that is deeper than any path can be.
const maxNesting = 2048

const opaqueXattr = "trusted.overlay.opaque"

// merger copies one layer over what is there.
type merger struct {
	links map[uint64]string // inode of the layer → first path in the copy
	top   int               // the copy's root
	buf   []byte
}

// dir merges the directory from into to, which is there, and then gives it
// the attributes of from.
func (m *merger) dir(from, to int, name string, depth int) error {
	if depth > maxNesting {
		return fault.New(fault.TooLarge, "%s: nested deeper than %d", name, maxNesting)
	}
	names, err := list(from)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	if isOpaque(from) {
		if err := clear(to); err != nil {
			return err
		}
	}
	for _, base := range names {
		if err := m.entry(from, to, base, path.Join(name, base), depth); err != nil {
			return fault.Op("entry", path.Join(name, base), err)
		}
	}
	if err := unix.Fchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(to, st.Mode&0o7777); err != nil {
		return err
	}
	if err := copyXattrs(from, to); err != nil {
		return err
	}
	return setTimes(to, ".", &st)
}

func (m *merger) entry(from, to int, base, name string, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(from, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFDIR {
		return m.subdir(from, to, base, name, depth)
	}
	if err := under.RemoveAt(to, base); err != nil {
		return err
	}
	if kind == unix.S_IFCHR && st.Rdev == 0 {
		return nil // a whiteout: removing was all it asked for
	}
	if st.Nlink > 1 {
		if first, ok := m.links[st.Ino]; ok {
			return unix.Linkat(m.top, first, to, base, 0)
		}
		m.links[st.Ino] = name
	}
	switch kind {
	case unix.S_IFREG:
		return m.file(from, to, base)
	case unix.S_IFLNK:
		return m.symlink(from, to, base, &st)
	case unix.S_IFSOCK:
		return nil
	default:
		return node(to, base, &st)
	}
}

func (m *merger) subdir(from, to int, base, name string, depth int) error {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW
	src, err := under.OpenAt(from, base, flags, 0, under.Beneath)
	if err != nil {
		return err
	}
	defer unix.Close(src)
	err = unix.Mkdirat(to, base, 0o700)
	if errors.Is(err, unix.EEXIST) {
		err = m.overwrite(to, base)
	}
	if err != nil {
		return err
	}
	dst, err := under.OpenAt(to, base, flags, 0, under.Beneath)
	if err != nil {
		return err
	}
	defer unix.Close(dst)
	return m.dir(src, dst, name, depth+1)
}

// overwrite makes base a directory if a lower layer has something else there.
func (m *merger) overwrite(to int, base string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(to, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return nil
	}
	if err := under.RemoveAt(to, base); err != nil {
		return err
	}
	return unix.Mkdirat(to, base, 0o700)
}

func (m *merger) symlink(from, to int, base string, st *unix.Stat_t) error {
	n, err := unix.Readlinkat(from, base, m.buf[:unix.PathMax])
	if err != nil {
		return err
	}
	if err := unix.Symlinkat(string(m.buf[:n]), to, base); err != nil {
		return err
	}
	if err := unix.Fchownat(to, base, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return setTimes(to, base, st)
}

func node(to int, base string, st *unix.Stat_t) error {
	if err := unix.Mknodat(to, base, st.Mode&^0o7777|0o600, int(st.Rdev)); err != nil {
		return err
	}
	if err := unix.Fchownat(to, base, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if err := unix.Fchmodat(to, base, st.Mode&0o7777, 0); err != nil { // our own node, no link
		return err
	}
	return setTimes(to, base, st)
}

func clear(dir int) error {
	names, err := list(dir)
	if err != nil {
		return err
	}
	for _, base := range names {
		if err := under.RemoveAt(dir, base); err != nil {
			return err
		}
	}
	return nil
}

func isOpaque(dir int) bool {
	var v [1]byte
	n, err := unix.Fgetxattr(dir, opaqueXattr, v[:])
	return err == nil && n == 1 && v[0] == 'y'
}

func list(fd int) ([]string, error) {
	again, err := under.OpenAt(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0, under.Beneath)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(again), "directory")
	defer f.Close()
	return f.Readdirnames(-1)
}

func setTimes(dirfd int, base string, st *unix.Stat_t) error {
	ts := []unix.Timespec{st.Atim, st.Mtim}
	return unix.UtimesNanoAt(dirfd, base, ts, unix.AT_SYMLINK_NOFOLLOW)
}
