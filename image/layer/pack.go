package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/under"
)

// maxNesting bounds how deep Pack follows a tree; a path of maxPath bytes
// cannot be deeper.
const maxNesting = maxPath / 2

// Pack writes the tree dir as a tar in PAX format. Equal trees give equal
// bytes: entries are sorted by name, a directory before what is in it, and
// times are those of the files. With o.Whiteouts = Overlay, dir is an upper or
// lower directory of overlay and its marks become AUFS names again. Sockets
// are left out, as are mounts below dir.
func Pack(ctx context.Context, w io.Writer, dir string, o Options) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fault.Op("layer.pack", dir, err)
	}
	defer unix.Close(fd)
	buffered := bufio.NewWriterSize(w, readSize)
	p := &packer{
		ctx:   ctx,
		tar:   tar.NewWriter(buffered),
		links: map[inode]string{},
		buf:   make([]byte, copySize),
		style: o.Whiteouts,
	}
	if err := p.top(fd); err != nil {
		return fault.Op("layer.pack", dir, err)
	}
	if err := p.tar.Close(); err != nil {
		return fault.Op("layer.pack", dir, err)
	}
	return fault.Op("layer.pack", dir, buffered.Flush())
}

type inode struct{ dev, ino uint64 }

// packer is one run of Pack.
type packer struct {
	ctx   context.Context //nolint:containedctx // lives as long as the call
	tar   *tar.Writer
	links map[inode]string // first name of files that have several
	buf   []byte
	style Style
}

func (p *packer) top(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	h := header("./", &st)
	if err := p.xattrs(fd, h); err != nil {
		return err
	}
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	return p.children(fd, "", 0)
}

func (p *packer) children(fd int, dir string, depth int) error {
	if depth > maxNesting {
		return fault.New(fault.TooLarge, "%s: nested deeper than %d", dir, maxNesting)
	}
	if err := p.opaque(fd, dir); err != nil {
		return err
	}
	bases, err := list(fd)
	if err != nil {
		return err
	}
	for _, base := range bases {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if err := p.entry(fd, base, join(dir, base), depth); err != nil {
			return fault.Op("entry", join(dir, base), err)
		}
	}
	return nil
}

// opaque writes the mark of an opaque directory before its entries: readers
// exist that carry it out at once.
func (p *packer) opaque(fd int, dir string) error {
	var v [1]byte
	n, err := unix.Fgetxattr(fd, opaqueXattr, v[:])
	if p.style != Overlay || err != nil || n != 1 || v[0] != 'y' {
		return nil
	}
	return p.tar.WriteHeader(mark0(join(dir, opaqueName)))
}

// mark0 is a whiteout entry: empty, and the same whenever it is made.
func mark0(name string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
}

func (p *packer) entry(dirfd int, base, name string, depth int) error {
	st, err := lstat(dirfd, base)
	if err != nil {
		return err
	}
	kind := st.Mode & unix.S_IFMT
	if p.style == Overlay && isWhiteout(st) {
		dir, _ := split(name)
		return p.tar.WriteHeader(mark0(join(dir, whiteoutPrefix+base)))
	}
	if first, seen := p.links[inode{st.Dev, st.Ino}]; seen && kind != unix.S_IFDIR {
		h := header(name, st)
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		return p.tar.WriteHeader(h)
	}
	if st.Nlink > 1 && kind != unix.S_IFDIR {
		p.links[inode{st.Dev, st.Ino}] = name
	}
	switch kind {
	case unix.S_IFDIR:
		return p.directory(dirfd, base, name, st, depth)
	case unix.S_IFREG:
		return p.file(dirfd, base, name)
	case unix.S_IFLNK:
		return p.symlink(dirfd, base, name, st)
	case unix.S_IFSOCK:
		return nil
	default:
		return p.tar.WriteHeader(header(name, st))
	}
}

func (p *packer) directory(dirfd int, base, name string, st *unix.Stat_t, depth int) error {
	fd, err := under.OpenAt(dirfd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0, under.Beneath)
	h := header(name+"/", st)
	if err == unix.EXDEV { //nolint:errorlint // a mount point: packed as the empty directory it covers
		return p.tar.WriteHeader(h)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := p.xattrs(fd, h); err != nil {
		return err
	}
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	return p.children(fd, name, depth+1)
}

func (p *packer) file(dirfd int, base, name string) error {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	fd, err := under.OpenAt(dirfd, base, flags, 0, under.Beneath)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil { // of what is open now
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fault.New(fault.Conflict, "changed while it was being packed")
	}
	h := header(name, &st)
	if err := p.xattrs(fd, h); err != nil {
		return err
	}
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	return p.content(fd, st.Size)
}

// content copies exactly size bytes, whatever happens to the file meanwhile.
func (p *packer) content(fd int, size int64) error {
	for size > 0 {
		n, err := unix.Read(fd, p.buf[:min(int64(len(p.buf)), size)])
		if err == unix.EINTR { //nolint:errorlint // a bare errno
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "became shorter while it was being packed")
		}
		if _, err := p.tar.Write(p.buf[:n]); err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}

func (p *packer) symlink(dirfd int, base, name string, st *unix.Stat_t) error {
	buf := p.buf[:maxPath]
	n, err := unix.Readlinkat(dirfd, base, buf)
	if err != nil {
		return err
	}
	h := header(name, st)
	h.Linkname = string(buf[:n])
	return p.tar.WriteHeader(h)
}

var typeflags = map[uint32]byte{
	unix.S_IFREG: tar.TypeReg, unix.S_IFDIR: tar.TypeDir, unix.S_IFLNK: tar.TypeSymlink,
	unix.S_IFCHR: tar.TypeChar, unix.S_IFBLK: tar.TypeBlock, unix.S_IFIFO: tar.TypeFifo,
}

func header(name string, st *unix.Stat_t) *tar.Header {
	h := &tar.Header{
		Format:   tar.FormatPAX,
		Typeflag: typeflags[st.Mode&unix.S_IFMT],
		Name:     name,
		Mode:     int64(st.Mode & 0o7777),
		Uid:      int(st.Uid),
		Gid:      int(st.Gid),
		ModTime:  time.Unix(st.Mtim.Sec, st.Mtim.Nsec),
	}
	switch h.Typeflag {
	case tar.TypeReg:
		h.Size = st.Size
	case tar.TypeChar, tar.TypeBlock:
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	}
	return h
}
