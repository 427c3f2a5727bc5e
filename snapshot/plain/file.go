package plain

import (
	"bytes"
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/under"
)

// file copies one regular file with its attributes.
func (m *merger) file(from, to int, base string) (err error) {
	src, err := under.OpenAt(from, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0, under.Beneath)
	if err != nil {
		return err
	}
	defer unix.Close(src)
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return err
	}
	dst, err := unix.Openat(to, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := unix.Close(dst); err == nil {
			err = cerr
		}
	}()
	if err := m.content(src, dst, st.Size); err != nil {
		return err
	}
	// chown before chmod and attributes: it clears set-id bits and capabilities.
	if err := unix.Fchown(dst, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(dst, st.Mode&0o7777); err != nil {
		return err
	}
	if err := copyXattrs(src, dst); err != nil {
		return err
	}
	return setTimes(to, base, &st)
}

// content shares the blocks where the file system can, else copies the data
// between the holes.
func (m *merger) content(src, dst int, size int64) error {
	if unix.IoctlFileClone(dst, src) == nil {
		return nil
	}
	for at := int64(0); at < size; {
		start, err := unix.Seek(src, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // a hole up to the end
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(src, start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if err := m.extent(src, dst, start, end); err != nil {
			return err
		}
		at = end
	}
	return unix.Ftruncate(dst, size)
}

func (m *merger) extent(src, dst int, start, end int64) error {
	for start < end {
		n, err := unix.Pread(src, m.buf[:min(int64(len(m.buf)), end-start)], start)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Damaged, "shorter than its length")
		}
		if n, err = unix.Pwrite(dst, m.buf[:n], start); err != nil {
			return err
		}
		start += int64(n)
	}
	return nil
}

// copyXattrs copies all but overlay's own marks and the labels of security
// modules, which the kernel gives by its own policy.
func copyXattrs(src, dst int) error {
	var names [64 << 10]byte // XATTR_LIST_MAX
	n, err := unix.Flistxattr(src, names[:])
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return err
	}
	for name := range bytes.SplitSeq(names[:n], []byte{0}) {
		attr := string(name)
		if attr == "" || strings.HasPrefix(attr, "trusted.overlay.") || attr == "security.selinux" {
			continue
		}
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(src, attr, value)
		if err != nil {
			return fault.Op("read attribute", attr, err)
		}
		if err := unix.Fsetxattr(dst, attr, value[:n], 0); err != nil {
			return fault.Op("set attribute", attr, err)
		}
	}
	return nil
}
