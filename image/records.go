package image

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
)

const recordVersion = 1

// table is images.json: every image and the names it has. Both name:tag and
// name@digest count as names; a name belongs to one image.
type table struct {
	Version int                        `json:"version"`
	Images  map[digest.Digest][]string `json:"images"`
}

// record is images/HEX.json. What is in it follows from the image's content,
// so it is written before the table points to it and replaced only by an
// equal image that came with another manifest.
type record struct {
	Version  int                  `json:"version"`
	ID       digest.Digest        `json:"id"`
	Manifest ocispec.Descriptor   `json:"manifest"`
	Layers   []ocispec.Descriptor `json:"layers"`
	Chain    []snapshot.Name      `json:"chain"` // one tree per layer, lowest first
	Sizes    []int64              `json:"sizes"` // unpacked bytes of each
	Config   ocispec.Image        `json:"config"`
}

func (s *Store) tablePath() string { return filepath.Join(s.root, "images.json") }

func (s *Store) recordPath(id digest.Digest) string {
	return filepath.Join(s.root, "images", id.Encoded()+".json")
}

func (s *Store) readTable() (*table, error) {
	t := &table{}
	err := disk.ReadJSON(s.tablePath(), t)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && t.Version != recordVersion {
		return nil, fault.New(fault.Unsupported, "%s has version %d, this berth knows %d", s.tablePath(), t.Version, recordVersion)
	}
	if t.Images == nil {
		t.Images = map[digest.Digest][]string{}
	}
	for id := range t.Images {
		if blob.Check(id) != nil {
			return nil, fault.New(fault.Damaged, "%s: %q is no image ID", s.tablePath(), clip(string(id)))
		}
	}
	return t, nil
}

// writeTable is the commit point of every change. Call it under the lock.
func (s *Store) writeTable(t *table) error {
	t.Version = recordVersion
	return disk.WriteJSON(s.tablePath(), t, 0o600, true)
}

func (s *Store) readRecord(id digest.Digest) (*record, error) {
	r := &record{}
	err := disk.ReadJSON(s.recordPath(id), r)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Damaged, "image %s has lost its record: pull or load it again", id)
	}
	if err != nil {
		return nil, err
	}
	if r.Version != recordVersion || r.ID != id || len(r.Chain) != len(r.Layers) || len(r.Sizes) != len(r.Layers) {
		return nil, fault.New(fault.Damaged, "%s is not the record of image %s: pull or load it again", s.recordPath(id), id)
	}
	return r, nil
}

// writeRecord stores r durably, refusing what could not be read back.
func (s *Store) writeRecord(r *record) error {
	r.Version = recordVersion
	r.Config.History = nil
	path := s.recordPath(r.ID)
	if err := disk.WriteJSON(path, r, 0o600, true); err != nil {
		return err
	}
	if st, err := os.Stat(path); err != nil || st.Size() > disk.MaxJSON {
		os.Remove(path)
		return fault.New(fault.TooLarge, "config of image %s is too large to keep", r.ID)
	}
	return nil
}

// dropRecord takes back a record that no table points to.
func (s *Store) dropRecord(id digest.Digest) error { return os.Remove(s.recordPath(id)) }

// image joins a record and the names of the table.
func (r *record) image(names []string) Image {
	img := Image{
		ID: r.ID, Manifest: r.Manifest, Config: r.Config, Layers: r.Layers,
	}
	for _, n := range names {
		if isDigestRef(n) {
			img.RepoDigests = append(img.RepoDigests, n)
		} else {
			img.Refs = append(img.Refs, n)
		}
	}
	slices.Sort(img.Refs)
	slices.Sort(img.RepoDigests)
	if n := len(r.Chain); n > 0 {
		img.Top = r.Chain[n-1]
	}
	for _, n := range r.Sizes {
		img.Size += n
	}
	if r.Config.Created != nil {
		img.Created = *r.Config.Created
	} else {
		img.Created = time.Time{}
	}
	return img
}

// give moves name to the image id; whoever had it loses it.
func (t *table) give(name string, id digest.Digest) {
	for other, names := range t.Images {
		if i := slices.Index(names, name); i >= 0 {
			t.Images[other] = slices.Delete(names, i, i+1)
		}
	}
	t.Images[id] = append(t.Images[id], name)
	slices.Sort(t.Images[id])
}

// holder returns the image that has name.
func (t *table) holder(name string) (digest.Digest, bool) {
	for id, names := range t.Images {
		if slices.Contains(names, name) {
			return id, true
		}
	}
	return "", false
}
