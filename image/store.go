package image

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/layer"
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
)

// Store is all images below one root directory. It holds no state in memory;
// several goroutines and processes may use the same root.
type Store struct {
	root  string
	blobs *blob.Store
	trees trees
	fetch Fetch
	codec layer.Decoder
	apply func(ctx context.Context, dir string, plain io.Reader, compressed int64) (int64, error)
	// step, when set by a test, is asked before each step of a change and
	// makes it fail.
	step func(name string) error
}

// Open returns the image store below root, whose layers live in t, whose pulls
// are done by fetch, and what is compressed by codec. It reads and writes
// nothing.
func Open(root string, t *snapshot.Store, fetch Fetch, codec layer.Decoder) (*Store, error) {
	if root == "" || t == nil || fetch == nil || codec == nil {
		return nil, fault.New(fault.Invalid, "image store needs a directory, a snapshot store, a way to fetch and one to decompress")
	}
	return &Store{root: root, blobs: blob.Open(root), trees: realTrees{t}, fetch: fetch, codec: codec, apply: applyLayer}, nil
}

// Root is the store's directory.
func (s *Store) Root() string { return s.root }

// reached is called before each step of a change.
func (s *Store) reached(name string) error {
	if s.step == nil {
		return nil
	}
	return s.step(name)
}

// locked runs fn while nobody else changes records or collects garbage.
func (s *Store) locked(fn func() error) error {
	if err := os.MkdirAll(filepath.Join(s.root, "images"), 0o700); err != nil {
		return err
	}
	l, err := disk.Acquire(filepath.Join(s.root, "images.lock"), true)
	if err != nil {
		return err
	}
	defer l.Close()
	return fn()
}
