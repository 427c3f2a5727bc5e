package image

import (
	"bytes"
	"context"
	"errors"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
)

// install makes an image of a candidate whose layers src has: pull, load and
// import end here. The table is written last; before that everything is
// undone, except whole blobs of an image that may be asked for again.
func (s *Store) install(ctx context.Context, src blob.Source, c *candidate, names []string, tell func(Event)) (Image, error) {
	drop, err := s.take(c.lease())
	if err != nil {
		return Image{}, err
	}
	img, err := s.installLeased(ctx, src, c, names, tell)
	drop()
	if err != nil && hopeless(err) {
		_, _ = s.Sweep() // what cannot be removed now, the next collection does
	}
	return img, err
}

// hopeless reports whether trying again would fail again, so that nothing
// needs to be kept for it.
func hopeless(err error) bool {
	switch fault.KindOf(err) {
	case fault.Damaged, fault.Invalid, fault.Unsupported, fault.TooLarge:
		return true
	}
	return false
}

func (s *Store) installLeased(ctx context.Context, src blob.Source, c *candidate, names []string, tell func(Event)) (Image, error) {
	undo, locks := cleanup.New(), cleanup.New()
	defer locks.Run()
	defer undo.Run()
	u, err := s.layersOf(ctx, src, c, tell, undo, locks)
	if err != nil {
		return Image{}, err
	}
	if err := s.putDocuments(ctx, c); err != nil {
		return Image{}, err
	}
	if err := u.commitTrees(); err != nil {
		return Image{}, err
	}
	if err := s.reached("sync blobs"); err != nil {
		return Image{}, err
	}
	if err := s.blobs.Sync(); err != nil {
		return Image{}, err
	}
	img, err := s.recordImage(c, u.sizes, names)
	if err == nil {
		undo.Release()
	}
	return img, err
}

func (s *Store) putDocuments(ctx context.Context, c *candidate) error {
	if err := s.reached("store documents"); err != nil {
		return err
	}
	if err := s.blobs.Put(ctx, c.configDesc, bytes.NewReader(c.configBody)); err != nil {
		return err
	}
	return s.blobs.Put(ctx, c.manifest, bytes.NewReader(c.manifestBody))
}

// recordImage writes the record and then the table with the names.
func (s *Store) recordImage(c *candidate, sizes []int64, names []string) (Image, error) {
	var img Image
	err := s.locked(func() error {
		t, err := s.readTable()
		if err != nil {
			return err
		}
		if err := s.reached("record"); err != nil {
			return err
		}
		r := &record{
			ID: c.id(), Manifest: c.manifest, Layers: c.layers, Chain: c.chain,
			Sizes: s.knownSizes(t, c.chain, sizes), Config: c.config,
		}
		known := t.has(r.ID)
		if err := s.writeRecord(r); err != nil {
			return err
		}
		err = s.tagAll(t, r, names)
		if err != nil && !known {
			return errors.Join(err, s.dropRecord(r.ID))
		}
		img = r.image(t.Images[r.ID])
		return err
	})
	return img, err
}

func (s *Store) tagAll(t *table, r *record, names []string) error {
	if !t.has(r.ID) {
		t.Images[r.ID] = []string{}
	}
	for _, n := range names {
		t.give(n, r.ID)
	}
	if err := s.reached("table"); err != nil {
		return err
	}
	return s.writeTable(t)
}

// knownSizes fills in the sizes of trees that were there before from the
// records of the images that brought them.
func (s *Store) knownSizes(t *table, chain []snapshot.Name, sizes []int64) []int64 {
	missing := map[snapshot.Name]int{}
	for i, n := range sizes {
		if n < 0 {
			missing[chain[i]] = i
			sizes[i] = 0
		}
	}
	for id := range t.Images {
		if len(missing) == 0 {
			break
		}
		r, err := s.readRecord(id)
		if err != nil {
			continue // only a number for display
		}
		for i, n := range r.Chain {
			if at, ok := missing[n]; ok {
				sizes[at] = r.Sizes[i]
				delete(missing, n)
			}
		}
	}
	return sizes
}
