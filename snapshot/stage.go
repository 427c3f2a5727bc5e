package snapshot

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"syscall"

	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/under"
)

// Stage is a layer that is being unpacked. It ends by Commit or by Abort; a
// process that dies leaves it to the next one to sweep.
type Stage struct {
	store  *Store
	name   Name
	parent Name
	id     string   // of the tree
	trees  []string // in the record, as last written
	marker *os.File // staging/ID, locked: this tree is being worked on; nil once ended
}

// Stage makes a private, empty directory for the layer name, whose parent is
// "" for the lowest layer. The parent must be there at Commit, not before. A
// name that is committed already is fault.Exists.
func (s *Store) Stage(name, parent Name) (*Stage, error) {
	st, err := s.stage(name, parent)
	return st, fault.Op("snapshot.stage", string(name), err)
}

func (s *Store) stage(name, parent Name) (*Stage, error) {
	if err := checkID("name", string(name)); err != nil {
		return nil, err
	}
	if parent != "" {
		if err := checkID("parent", string(parent)); err != nil {
			return nil, err
		}
	}
	switch {
	case name == Host, parent == Host:
		return nil, fault.New(fault.Invalid, "layers cannot be put on %q", Host)
	case name == parent:
		return nil, fault.New(fault.Invalid, "a layer cannot be its own parent")
	case s.Exists(name):
		return nil, fault.New(fault.Exists, "the layer is there")
	}
	s.sweepOnce.Do(func() { s.sweep() }) //nolint:errcheck // leftovers cost space only
	l, err := s.lock(false)              // keeps sweep away until the marker is locked
	if err != nil {
		return nil, err
	}
	defer l.Close()
	id, err := s.newTree()
	if err != nil {
		return nil, err
	}
	marker, err := s.mark(id)
	if err != nil {
		return nil, errors.Join(err, os.Remove(s.path(layersDir, id)))
	}
	return &Stage{store: s, name: name, parent: parent, id: id, marker: marker}, nil
}

// mark makes the marker of a tree and locks it.
func (s *Store) mark(id string) (*os.File, error) {
	if err := s.at("marker"); err != nil {
		return nil, err
	}
	marker, err := os.OpenFile(s.path(stagingDir, id), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	undo := cleanup.New()
	defer undo.Run()
	undo.Add(func() error { return os.Remove(marker.Name()) })
	undo.Add(marker.Close)
	if err := s.at("lock"); err != nil {
		return nil, err
	}
	if err := flock(marker, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, err
	}
	undo.Release()
	return marker, nil
}

// newTree makes an empty directory below l/ with a name that is as short as
// can be, because the names of 127 layers share the 4096 bytes that mount(2)
// has for options.
func (s *Store) newTree() (string, error) {
	if err := s.at("tree"); err != nil {
		return "", err
	}
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for try := 0; ; try++ {
		id := make([]byte, 2+try/8) // eight misses mean that this length is crowded
		for i := range id {
			id[i] = letters[rand.IntN(len(letters))]
		}
		dir := s.path(layersDir, string(id))
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			err = os.Chmod(dir, 0o755) // it may become the root of an image, whatever our umask
		}
		if !errors.Is(err, fs.ErrExist) || try > 100 {
			return string(id), err
		}
	}
}

// Dir is the directory to unpack into. Its own mode and owner become those of
// the layer's root.
func (st *Stage) Dir() string { return st.store.path(layersDir, st.id) }

// Name is the name that Commit will give.
func (st *Stage) Name() Name { return st.name }

// Abort throws the stage away. After Commit or Abort it does nothing.
func (st *Stage) Abort() error {
	if st.marker == nil {
		return nil
	}
	return fault.Op("snapshot.abort", string(st.name), st.drop())
}

// drop deletes the tree and ends the stage.
func (st *Stage) drop() error {
	err := st.store.discard(st.id)
	st.marker.Close()
	st.marker = nil
	return err
}

// discard deletes a tree that belongs to no name and then its marker. The
// caller holds the marker's lock.
func (s *Store) discard(id string) error {
	if err := s.at("discard tree"); err != nil {
		return err
	}
	if err := under.RemoveTree(s.path(layersDir, id)); err != nil {
		return err
	}
	if err := s.at("discard marker"); err != nil {
		return err
	}
	err := os.Remove(s.path(stagingDir, id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
