package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"io"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

const (
	readSize = 128 << 10 // of the tar's headers and small files
	copySize = 1 << 20   // of one write to a large file
)

// Apply unpacks the tar stream r into dir, a directory that only the caller
// can reach, and reads r to its end, so that a hash over it is complete.
func Apply(ctx context.Context, dir string, r io.Reader, o Options) (Result, error) {
	t, err := newTree(dir, o.Whiteouts)
	if err != nil {
		return Result{}, fault.Op("layer.apply", "", err)
	}
	defer t.close()
	src := &source{ctx: ctx, r: r, limit: o.maxSize()}
	buffered := bufio.NewReaderSize(src, readSize)
	a := &applier{
		ctx:  ctx,
		tree: t,
		tar:  tar.NewReader(buffered),
		who:  t.who,
		dirs: map[string]*dirMeta{},
		buf:  make([]byte, copySize),

		maxSize:    o.maxSize(),
		maxEntries: o.maxEntries(),
	}
	if err := a.run(); err != nil {
		return a.res, fault.Op("layer.apply", "", err)
	}
	if _, err := io.Copy(io.Discard, buffered); err != nil { // padding after the end mark
		return a.res, fault.Op("layer.apply", "", err)
	}
	return a.res, nil
}

// source is the tar as it comes in, bounded and ended by the context.
type source struct {
	ctx   context.Context //nolint:containedctx // io.Reader has no other place for it
	r     io.Reader
	n     int64
	limit int64
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, context.Cause(s.ctx)
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	// The limit is on content: headers of a layer full of small files may
	// double it.
	if s.n > 2*s.limit {
		return n, tooLarge(s.limit)
	}
	return n, err
}

func tooLarge(limit int64) error {
	return fault.New(fault.TooLarge, "the layer unpacks to more than %d bytes", limit)
}

// applier is one run of Apply.
type applier struct {
	ctx  context.Context //nolint:containedctx // lives as long as the call
	tree *tree
	tar  *tar.Reader
	who  identity
	dirs map[string]*dirMeta // what directories get once all entries are there
	buf  []byte
	res  Result

	maxSize    int64
	maxEntries int
	unchecked  int64 // bytes written since free space was looked at
}

func (a *applier) run() error {
	for {
		h, err := a.tar.Next()
		if errors.Is(err, io.EOF) {
			return a.finishDirs()
		}
		if err != nil {
			return a.streamError(err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // comments of git archive and the like
		}
		if a.res.Entries++; a.res.Entries > a.maxEntries {
			return fault.New(fault.TooLarge, "the layer has more than %d entries", a.maxEntries)
		}
		if err := a.entry(h); err != nil {
			return fault.Op("entry", quote(h.Name), err)
		}
	}
}

// streamError tells a broken tar from a broken source.
func (a *applier) streamError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Damaged, "read the tar after %d entries: %w", a.res.Entries, err)
	}
	return err
}

// entry checks one header and sends it to the maker of its kind.
func (a *applier) entry(h *tar.Header) error {
	a.tree.next()
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if err := checkIDs(h); err != nil {
		return err
	}
	if name == "" {
		if h.Typeflag != tar.TypeDir {
			return fault.New(fault.Invalid, "the root must be a directory")
		}
		a.later("", h)
		return nil
	}
	dir, base := split(name)
	m, target, err := parseMark(dir, base)
	if err != nil {
		return err
	}
	switch m {
	case markMeta:
		return nil
	case markOpaque:
		return a.tree.opaque(dir)
	case markDelete:
		return a.tree.whiteout(dir, target)
	}
	fd, err := a.tree.dir(dir)
	if err != nil {
		return err
	}
	a.tree.note(name)
	return a.make(h, fd, base, name)
}

func (a *applier) make(h *tar.Header, fd int, base, name string) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return a.directory(h, fd, base, name)
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return a.file(h, fd, base)
	case tar.TypeSymlink:
		return a.symlink(h, fd, base)
	case tar.TypeLink:
		return a.link(h, fd, base)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return a.node(h, fd, base)
	default:
		return fault.New(fault.Invalid, "unknown kind of entry %q", h.Typeflag)
	}
}

// skip notes an entry that is left out.
func (a *applier) skip(h *tar.Header, why string) {
	if len(a.res.Skipped) < maxNotes {
		a.res.Skipped = append(a.res.Skipped, quote(h.Name)+": "+why)
	}
}

// room fails when n more bytes would leave less than the reserve.
func (a *applier) room(n int64) error {
	a.unchecked += n
	if a.unchecked < reserve/2 {
		return nil
	}
	a.unchecked = 0
	var st unix.Statfs_t
	if err := unix.Fstatfs(a.tree.root, &st); err != nil {
		return err
	}
	if free := int64(st.Bavail) * st.Bsize; st.Blocks > 0 && free < n+reserve {
		return fault.Op("write", strconv.FormatInt(n, 10)+" bytes", unix.ENOSPC)
	}
	return nil
}
