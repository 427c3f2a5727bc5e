package image

import (
	"context"
	"errors"
	"hash"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/layer"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
)

// atOnce is how many layers are fetched and unpacked at the same time.
const atOnce = 4

// unpacking brings the layers of one candidate into blobs and trees:
//
//	source ─► tee ─► decompress ─► hash ─► apply ─► stage ─┐
//	           └──► blob                                   ├─► commitTrees
//	source ─► …                                    stage ─┘
//
// Each layer's chain is locked from the base upwards and stays locked until
// the trees are committed, so that of several pulls of one layer one works and
// the others find it done.
type unpacking struct {
	s      *Store
	src    blob.Source
	c      *candidate
	tell   func(Event)
	undo   *cleanup.Stack
	locks  *cleanup.Stack
	mu     sync.Mutex // guards undo
	stages []stage    // nil where the tree is there already
	sizes  []int64    // -1 where the tree was there already
}

// layersOf stages all layers of c that are not here yet. The caller runs undo
// when it gives up and locks, which let the next pull in, in any case.
func (s *Store) layersOf(ctx context.Context, src blob.Source, c *candidate, tell func(Event), undo, locks *cleanup.Stack) (*unpacking, error) {
	u := &unpacking{
		s: s, src: src, c: c, tell: tell, undo: undo, locks: locks,
		stages: make([]stage, len(c.layers)), sizes: make([]int64, len(c.layers)),
	}
	for _, d := range c.layers {
		tell(Event{Layer: short(d), Text: "Pulling fs layer"})
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	err := func() error {
		for i := range c.layers {
			if err := u.lock(gctx, c.chain[i]); err != nil {
				return err
			}
			if gctx.Err() != nil {
				return nil // the group knows why
			}
			g.Go(func() error { return u.layer(gctx, i) })
		}
		return nil
	}()
	if gerr := g.Wait(); gerr != nil {
		err = gerr
	}
	if ctx.Err() != nil && err != nil {
		err = context.Cause(ctx)
	}
	return u, err
}

func (u *unpacking) lock(ctx context.Context, n snapshot.Name) error {
	unlock, err := u.s.blobs.Lock(ctx, "tree", digest.NewDigestFromEncoded(digest.SHA256, string(n)))
	if err != nil {
		return err
	}
	u.locks.Add(func() error { unlock(); return nil })
	return nil
}

func (u *unpacking) onUndo(f func() error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.undo.Add(f)
}

// layer brings one layer: its tree, its blob, or neither.
func (u *unpacking) layer(ctx context.Context, i int) error {
	d := u.c.layers[i]
	here := u.s.trees.Exists(u.c.chain[i])
	if here && u.s.blobs.Has(d) {
		u.sizes[i] = -1
		u.tell(Event{Layer: short(d), Text: "Already exists"})
		return nil
	}
	if here {
		u.sizes[i] = -1
		if err := u.s.fetchBlob(ctx, u.src, d, u.tell); err != nil {
			return fault.Op("layer", short(d), err)
		}
		u.tell(Event{Layer: short(d), Text: "Pull complete"})
		return nil
	}
	if err := u.stage(ctx, i); err != nil {
		return fault.Op("layer", short(d), err)
	}
	u.tell(Event{Layer: short(d), Text: "Pull complete"})
	return nil
}

func (u *unpacking) stage(ctx context.Context, i int) error {
	d := u.c.layers[i]
	if err := u.s.reached("stage"); err != nil {
		return err
	}
	// The same blob may be a layer of another chain, here or in another pull:
	// one downloads it, the others unpack what the first has stored.
	unlock, err := u.s.blobs.Lock(ctx, "blob", d.Digest)
	if err != nil {
		return err
	}
	defer unlock()
	size, err := u.fill(ctx, i, u.s.blobs.Has(d))
	if errors.Is(err, errRotten) {
		if qerr := u.s.blobs.Quarantine(d.Digest); qerr != nil {
			return errors.Join(err, qerr)
		}
		size, err = u.fill(ctx, i, false)
	}
	u.sizes[i] = size
	return err
}

// errRotten says that a stored blob is no longer what it was.
var errRotten = errors.New("stored blob is damaged")

// fill unpacks layer i into a new stage, from the blob store or the source.
func (u *unpacking) fill(ctx context.Context, i int, local bool) (int64, error) {
	parent := snapshot.Name("")
	if i > 0 {
		parent = u.c.chain[i-1]
	}
	st, err := u.s.trees.Stage(u.c.chain[i], parent)
	if err != nil {
		return 0, err
	}
	size, err := u.s.stream(ctx, u.src, u.c.layers[i], u.c.config.RootFS.DiffIDs[i], st.Dir(), local, u.tell)
	if err != nil {
		return 0, errors.Join(err, st.Abort())
	}
	u.stages[i] = st
	u.onUndo(st.Abort)
	return size, nil
}

// stream unpacks one layer into dir while it comes in. When local, it comes
// from the blob store; else from src, and is stored on its way.
func (s *Store) stream(ctx context.Context, src blob.Source, d ocispec.Descriptor, diffID digest.Digest, dir string, local bool, tell func(Event)) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := s.incoming(ctx, src, d, local, tell)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	sum := diffID.Algorithm().Hash()
	size, err := s.unpackInto(ctx, dir, in, d.Size, sum)
	if err == nil && digest.NewDigest(diffID.Algorithm(), sum) != diffID {
		err = fault.New(fault.Damaged, "layer %s unpacks to other bytes than the image config says: expected %s, got %s", d.Digest, diffID, digest.NewDigest(diffID.Algorithm(), sum))
	}
	if err != nil && fault.KindOf(err) == fault.Internal {
		cancel() // our own failure (disk full): the rest of the stream tells nothing
	}
	return size, in.finish(err)
}

func (s *Store) unpackInto(ctx context.Context, dir string, in io.Reader, compressed int64, sum hash.Hash) (int64, error) {
	plain, err := layer.Decompress(ctx, in, s.codec)
	if err != nil {
		return 0, err
	}
	defer plain.Close()
	return s.apply(ctx, dir, io.TeeReader(plain, sum), compressed)
}

// fetchBlob stores a blob whose tree is here already.
func (s *Store) fetchBlob(ctx context.Context, src blob.Source, d ocispec.Descriptor, tell func(Event)) error {
	unlock, err := s.blobs.Lock(ctx, "blob", d.Digest)
	if err != nil || s.blobs.Has(d) {
		if err == nil {
			unlock()
		}
		return err
	}
	defer unlock()
	in, err := s.incoming(ctx, src, d, false, tell)
	if err != nil {
		return err
	}
	defer in.Close()
	return in.finish(nil)
}

// commitTrees makes all staged layers permanent with one sync.
func (u *unpacking) commitTrees() error {
	if err := u.s.reached("commit trees"); err != nil {
		return err
	}
	var stages []stage
	for i, st := range u.stages {
		if st == nil {
			continue
		}
		stages = append(stages, st)
		name := u.c.chain[i]
		u.onUndo(func() error { return leaveUsed(u.s.trees.RemoveName(name)) })
	}
	if len(stages) == 0 {
		return nil
	}
	return u.s.trees.Commit(stages)
}

// leaveUsed: a tree that we would take back may never have been committed, or
// somebody builds on it already; then it is whole and may stay.
func leaveUsed(err error) error {
	if errors.Is(err, fault.Conflict) || errors.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// short is how docker prints a layer.
func short(d ocispec.Descriptor) string {
	if d.Digest.Validate() != nil {
		return ""
	}
	return d.Digest.Encoded()[:12]
}
