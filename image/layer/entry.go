package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// holeSize is the unit in which a sparse file's holes are found again.
const holeSize = 64 << 10

var zeros [holeSize]byte

func (a *applier) directory(h *tar.Header, fd int, base, name string) error {
	perm := dirPerm(h)
	fresh, err := a.tree.mkdir(fd, base, name, perm)
	if err != nil {
		return err
	}
	a.later(name, h).exact = fresh && a.who.exact(perm)
	return nil
}

// file always makes a new inode: writing through one that is there could
// change a file of another name.
func (a *applier) file(h *tar.Header, dirfd int, base string) (err error) {
	if h.Size > a.maxSize-a.res.Size {
		return tooLarge(a.maxSize)
	}
	perm := uint32(h.Mode & 0o777)
	var fd int
	err = a.tree.create(dirfd, base, func() (err error) {
		const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
		fd, err = unix.Openat(dirfd, base, flags, perm)
		return err
	})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := unix.Close(fd); err == nil {
			err = cerr
		}
	}()
	if err := a.content(fd, h); err != nil {
		return err
	}
	a.res.Size += h.Size
	// Order matters: chown clears the set-id bits and the file capability.
	if err := a.who.chown(fd, h); err != nil {
		return err
	}
	if mode := uint32(h.Mode & 0o7777); mode != perm || !a.who.exact(perm) {
		if err := unix.Fchmod(fd, mode); err != nil {
			return err
		}
	}
	if err := setXattrs(fd, h); err != nil {
		return err
	}
	return setTimes(dirfd, base, h)
}

// content copies the entry's bytes to fd.
func (a *applier) content(fd int, h *tar.Header) error {
	sparse := isSparse(h)
	for done := int64(0); done < h.Size; {
		chunk := a.buf
		if sparse {
			chunk = chunk[:holeSize]
		}
		chunk = chunk[:min(int64(len(chunk)), h.Size-done)]
		if _, err := io.ReadFull(a.tar, chunk); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return a.streamError(err)
		}
		if !sparse || !bytes.Equal(chunk, zeros[:len(chunk)]) {
			if err := a.room(int64(len(chunk))); err != nil {
				return err
			}
			if err := writeAt(fd, chunk, done); err != nil {
				return err
			}
		} else if err := a.ctx.Err(); err != nil { // holes come without reading the source
			return err
		}
		done += int64(len(chunk))
	}
	if sparse {
		return unix.Ftruncate(fd, h.Size)
	}
	return nil
}

// isSparse: GNU's old format has a type of its own, the newer ones PAX records.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func writeAt(fd int, p []byte, off int64) error {
	for len(p) > 0 {
		n, err := unix.Pwrite(fd, p, off)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// symlink stores the target as it is: it has its meaning in the container.
func (a *applier) symlink(h *tar.Header, fd int, base string) error {
	if h.Linkname == "" || len(h.Linkname) >= maxPath || strings.IndexByte(h.Linkname, 0) >= 0 {
		return fault.New(fault.Invalid, "link to nothing that a link can hold")
	}
	err := a.tree.create(fd, base, func() error { return unix.Symlinkat(h.Linkname, fd, base) })
	if err != nil {
		return err
	}
	if err := a.who.lchown(fd, base, h); err != nil {
		return err
	}
	return setTimes(fd, base, h)
}

// link makes a second name for something of this layer. "/x" means x of the
// root, as every absolute name in a tar.
func (a *applier) link(h *tar.Header, fd int, base string) error {
	target, err := cleanName(h.Linkname)
	if err != nil {
		return fault.Op("link target", "", err)
	}
	tdir, tbase := split(target)
	tfd, err := a.tree.open(orDot(tdir))
	if err != nil {
		return fault.Op("link target", "", err)
	}
	defer unix.Close(tfd)
	st, err := lstat(tfd, tbase)
	switch {
	case tbase == "" || err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return fault.New(fault.Invalid, "hard link to a directory")
	case errors.Is(err, unix.ENOENT), err == nil && isWhiteout(st):
		return fault.New(fault.Invalid, "hard link to %s, which this layer does not have", quote(h.Linkname))
	case err != nil:
		return err
	}
	if old, err := lstat(fd, base); err == nil && old.Ino == st.Ino && old.Dev == st.Dev {
		return nil // a name linked to itself
	}
	return a.tree.create(fd, base, func() error { return unix.Linkat(tfd, tbase, fd, base, 0) })
}

func orDot(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}

// node makes a device or FIFO. The store is reached by root only and devices
// in it are opened by nobody; in the container the device rules decide.
func (a *applier) node(h *tar.Header, fd int, base string) error {
	kind := map[byte]uint32{tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK, tar.TypeFifo: unix.S_IFIFO}[h.Typeflag]
	dev := 0
	if h.Typeflag != tar.TypeFifo {
		if h.Devmajor < 0 || h.Devminor < 0 || h.Devmajor > 0xfff || h.Devminor > 0xfffff {
			return fault.New(fault.Invalid, "device number %d:%d", h.Devmajor, h.Devminor)
		}
		dev = int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)))
	}
	if h.Typeflag == tar.TypeChar && dev == 0 {
		a.skip(h, "character device 0:0 would read as a deletion")
		return nil
	}
	mode := uint32(h.Mode & 0o7777)
	err := a.tree.create(fd, base, func() error { return unix.Mknodat(fd, base, kind|mode&0o777, dev) })
	if errors.Is(err, unix.EPERM) && kind != unix.S_IFIFO {
		a.skip(h, "not permitted to make devices")
		return nil
	}
	if err != nil {
		return err
	}
	if err := a.who.lchown(fd, base, h); err != nil {
		return err
	}
	if err := unix.Fchmodat(fd, base, mode, 0); err != nil { // our own node, no link
		return err
	}
	return setTimes(fd, base, h)
}
