package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/layer"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// Bounds of an archive of images.
const (
	maxEntries = 200_000
	smallFile  = 64 << 10 // files up to this stay in memory ...
	maxMemory  = 64 << 20 // ... as long as all of them stay below this
	maxHops    = 10       // links to links
)

// archive is an image tar after one pass over it: small files in memory, large
// ones in the blob store under their own digest. Paths are only keys here;
// nothing of the archive becomes a file name.
type archive struct {
	blobs  *blob.Store
	paths  map[string]ocispec.Descriptor
	links  map[string]string
	data   map[digest.Digest][]byte
	stored map[digest.Digest]ocispec.Descriptor
	memory int64
}

// spool reads r to its end.
func (s *Store) spool(ctx context.Context, r io.Reader) (*archive, error) {
	plain, err := layer.Decompress(ctx, r, s.codec)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	a := &archive{
		blobs: s.blobs, paths: map[string]ocispec.Descriptor{}, links: map[string]string{},
		data: map[digest.Digest][]byte{}, stored: map[digest.Digest]ocispec.Descriptor{},
	}
	tr := tar.NewReader(plain)
	for n := 0; ; n++ {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return nil, notTar(err, n)
		}
		if n >= maxEntries {
			return nil, fault.New(fault.TooLarge, "the archive has more than %d entries", maxEntries)
		}
		err = a.entry(h, &cancelled{ctx, tr})
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, notTar(err, n+1)
		}
		if err != nil {
			return nil, err
		}
	}
}

// notTar keeps the class of errors that came from below the tar reader.
func notTar(err error, n int) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	if n == 0 {
		return fault.New(fault.Invalid, "not a tar archive: %w", err)
	}
	return fault.New(fault.Damaged, "archive is damaged after %d entries: %w", n, err)
}

func (a *archive) entry(h *tar.Header, r io.Reader) error {
	name := path.Clean("/" + h.Name)[1:]
	switch h.Typeflag {
	case tar.TypeReg:
		d, err := a.keep(r, h.Size)
		if err != nil {
			return fault.Op("archive entry", clean(h.Name), err)
		}
		delete(a.links, name)
		a.paths[name] = d
	case tar.TypeSymlink:
		delete(a.paths, name)
		a.links[name] = path.Join(path.Dir(name), h.Linkname)
		if strings.HasPrefix(h.Linkname, "/") {
			a.links[name] = path.Clean(h.Linkname)[1:]
		}
	case tar.TypeLink:
		delete(a.paths, name)
		a.links[name] = path.Clean("/" + h.Linkname)[1:]
	}
	return nil
}

func (a *archive) keep(r io.Reader, size int64) (ocispec.Descriptor, error) {
	if size <= smallFile && a.memory+size <= maxMemory {
		text, err := io.ReadAll(r)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		d := ocispec.Descriptor{Digest: digest.FromBytes(text), Size: int64(len(text))}
		if _, ok := a.data[d.Digest]; !ok {
			a.data[d.Digest] = text
			a.memory += d.Size
		}
		return d, nil
	}
	w, err := a.blobs.Create(ocispec.Descriptor{Size: blob.Unknown})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer w.Close()
	if _, err := io.Copy(w, r); err != nil {
		return ocispec.Descriptor{}, err
	}
	d, err := w.Commit()
	if err == nil {
		a.stored[d.Digest] = d
	}
	return d, err
}

// Open makes the archive a source; only what is in it can be had from it.
func (a *archive) Open(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if text, ok := a.data[d.Digest]; ok {
		return io.NopCloser(bytes.NewReader(text)), nil
	}
	if stored, ok := a.stored[d.Digest]; ok {
		return a.blobs.Open(ctx, stored)
	}
	return nil, fault.New(fault.NotFound, "blob %s is missing from the archive", d.Digest)
}

func (a *archive) text(name string, limit int64) ([]byte, error) {
	d, err := a.lookup(name)
	if err != nil {
		return nil, err
	}
	return blob.ReadAll(context.Background(), a, d, limit)
}

// lookup follows the archive's links: docker save of old writes a layer once
// and links to it.
func (a *archive) lookup(name string) (ocispec.Descriptor, error) {
	at := path.Clean("/" + name)[1:]
	for range maxHops {
		if d, ok := a.paths[at]; ok {
			return d, nil
		}
		next, ok := a.links[at]
		if !ok {
			return ocispec.Descriptor{}, fault.New(fault.NotFound, "%q is missing from the archive", clean(name))
		}
		at = path.Clean("/" + next)[1:]
	}
	return ocispec.Descriptor{}, fault.New(fault.Invalid, "%q is a link that leads to links without end", clean(name))
}

// cancelled ends a reader with its context.
type cancelled struct {
	ctx context.Context //nolint:containedctx // io.Reader has no other place for it
	r   io.Reader
}

func (c *cancelled) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
