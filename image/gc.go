package image

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
)

// reach is what records and leases need.
type reach struct {
	all   bool
	blobs map[digest.Digest]bool
	trees map[snapshot.Name]bool
	ids   map[digest.Digest]bool
}

// mark computes reachability from the table. A record that cannot be read
// stops the collection: what it needs is not known.
func (s *Store) mark(t *table) (*reach, error) {
	m := &reach{blobs: map[digest.Digest]bool{}, trees: map[snapshot.Name]bool{}, ids: map[digest.Digest]bool{}}
	for id := range t.Images {
		r, err := s.readRecord(id)
		if err != nil {
			return nil, err
		}
		m.ids[id] = true
		m.blobs[id] = true
		m.blobs[r.Manifest.Digest] = true
		for _, l := range r.Layers {
			m.blobs[l.Digest] = true
		}
		for _, n := range r.Chain {
			m.trees[n] = true
		}
	}
	live, err := s.leases()
	if err != nil {
		return nil, err
	}
	for _, l := range live {
		m.all = m.all || l.All
		for _, d := range l.Blobs {
			m.blobs[d] = true
		}
		for _, n := range l.Trees {
			m.trees[n] = true
		}
	}
	return m, nil
}

// collect removes what nothing reaches and returns the trees that went. Call
// it under the lock. It may stop anywhere and be run again.
func (s *Store) collect(t *table) ([]snapshot.Name, error) {
	if s.lostTable() {
		return nil, fault.New(fault.Damaged, "%s is missing but there are images: nothing is removed until it is back", s.tablePath())
	}
	m, err := s.mark(t)
	if err != nil {
		return nil, err
	}
	if m.all {
		return nil, nil // somebody is loading; the next collection does it
	}
	gone, err := s.collectTrees(m)
	return gone, errors.Join(err, s.collectBlobs(m), s.collectRecords(m), s.blobs.Sweep())
}

// lostTable reports whether there are records and no table: somebody removed
// it, and collecting now would remove every image.
func (s *Store) lostTable() bool {
	if _, err := os.Lstat(s.tablePath()); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	entries, _ := os.ReadDir(filepath.Join(s.root, "images"))
	return len(entries) > 0
}

// collectTrees removes unreachable trees, children before parents: a tree with
// children or a container on it is refused by the snapshot room and tried
// again while anything moves.
func (s *Store) collectTrees(m *reach) ([]snapshot.Name, error) {
	names, err := s.trees.Names()
	if err != nil {
		return nil, err
	}
	left := slices.DeleteFunc(names, func(n snapshot.Name) bool { return m.trees[n] || n == snapshot.Host })
	var gone []snapshot.Name
	for moved := true; moved; {
		moved = false
		var next []snapshot.Name
		for _, n := range left {
			err := s.trees.RemoveName(n)
			switch {
			case err == nil:
				gone = append(gone, n)
				moved = true
			case errors.Is(err, fault.Conflict):
				next = append(next, n)
			case !errors.Is(err, fault.NotFound):
				return gone, err
			}
		}
		left = next
	}
	return gone, nil
}

func (s *Store) collectBlobs(m *reach) error {
	all, err := s.blobs.Digests()
	if err != nil {
		return err
	}
	for _, d := range all {
		if m.blobs[d] {
			continue
		}
		if err := s.blobs.Delete(d); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) collectRecords(m *reach) error {
	dir := filepath.Join(s.root, "images")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		hex, ok := strings.CutSuffix(e.Name(), ".json")
		if ok && !strings.HasPrefix(hex, ".") && !m.has(hex) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *reach) has(hex string) bool {
	return m.ids[digest.NewDigestFromEncoded(digest.SHA256, hex)] || m.ids[digest.NewDigestFromEncoded(digest.SHA512, hex)]
}

// Sweep collects garbage now: what removed containers and broken-off pulls
// left behind. It returns the trees that went.
func (s *Store) Sweep() ([]snapshot.Name, error) {
	var gone []snapshot.Name
	err := s.locked(func() error {
		t, err := s.readTable()
		if err != nil {
			return err
		}
		gone, err = s.collect(t)
		return err
	})
	return gone, err
}
