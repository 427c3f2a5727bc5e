package blob

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// Source gives bytes by descriptor: a registry, the store, an archive. The
// caller closes the reader. Sources need not verify; Copy and ReadAll do.
type Source interface {
	Open(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error)
}

// Sink takes bytes by descriptor. Put is idempotent, verifies, and may be
// called from several goroutines when CopyOptions.Limit allows it.
type Sink interface {
	Put(ctx context.Context, d ocispec.Descriptor, r io.Reader) error
}

// MaxManifest bounds manifests and indexes, in bytes.
const MaxManifest = 4 << 20

// maxNesting bounds indexes in indexes.
const maxNesting = 4

// The media types of documents that list other blobs.
const (
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// CopyOptions tunes Copy; the zero value copies everything one by one.
type CopyOptions struct {
	// Limit is how many blobs are under way at once; 0 means 1.
	Limit int
	// Skip names blobs that are not wanted, for instance other platforms.
	Skip func(ocispec.Descriptor) bool
}

// Copy brings root and everything it lists from src to dst, a document always
// after what it lists: dst never holds a manifest with missing layers.
func Copy(ctx context.Context, dst Sink, src Source, root ocispec.Descriptor, o CopyOptions) error {
	return (&copier{dst: dst, src: src, o: o, seen: map[digest.Digest]bool{}}).tree(ctx, root, 0)
}

type copier struct {
	dst Sink
	src Source
	o   CopyOptions

	mu   sync.Mutex
	seen map[digest.Digest]bool
}

func (c *copier) tree(ctx context.Context, d ocispec.Descriptor, depth int) error {
	if !IsManifest(d.MediaType) {
		return c.leaf(ctx, d)
	}
	if depth >= maxNesting {
		return fault.New(fault.TooLarge, "index %s: indexes nested deeper than %d", d.Digest, maxNesting)
	}
	body, err := ReadAll(ctx, c.src, d, MaxManifest)
	if err != nil {
		return err
	}
	below, err := Children(body)
	if err != nil {
		return fault.Op("read", d.Digest.String(), err)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(c.o.Limit, 1))
	for _, child := range below {
		if !c.wanted(child) {
			continue
		}
		g.Go(func() error { return c.tree(gctx, child, depth+1) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return c.dst.Put(ctx, d, bytes.NewReader(body))
}

// wanted reports whether d must be copied, once.
func (c *copier) wanted(d ocispec.Descriptor) bool {
	if c.o.Skip != nil && c.o.Skip(d) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[d.Digest] {
		return false
	}
	c.seen[d.Digest] = true
	return true
}

func (c *copier) leaf(ctx context.Context, d ocispec.Descriptor) error {
	if err := Check(d.Digest); err != nil {
		return err
	}
	rc, err := c.src.Open(ctx, d)
	if err != nil {
		return err
	}
	defer rc.Close()
	return c.dst.Put(ctx, d, Verify(rc, d))
}

// IsManifest reports whether documents of this media type list other blobs.
func IsManifest(mediaType string) bool {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, DockerManifest, DockerIndex:
		return true
	}
	return false
}

// Children returns what a manifest or an index lists, in its order.
func Children(body []byte) ([]ocispec.Descriptor, error) {
	var doc struct {
		Config    *ocispec.Descriptor  `json:"config"`
		Layers    []ocispec.Descriptor `json:"layers"`
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fault.New(fault.Invalid, "manifest is no JSON: %w", err)
	}
	if doc.Manifests != nil && (doc.Config != nil || doc.Layers != nil) {
		return nil, fault.New(fault.Invalid, "manifest lists both layers and manifests")
	}
	var out []ocispec.Descriptor
	if doc.Config != nil {
		out = append(out, *doc.Config)
	}
	return append(append(out, doc.Layers...), doc.Manifests...), nil
}
