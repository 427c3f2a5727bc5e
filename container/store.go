package container

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

const (
	recordFile = "config.json"
	statusFile = "status.json"
)

// Store is the records below one root. Its methods may be called from many
// processes and goroutines at once; the locks are on the directories, not in
// this value.
//
//	containers/ID/config.json   the record; with it the container exists
//	containers/.work/ID         a record being made or unmade, flocked by who does it
//	names/NAME -> ID            a name is taken when this link could be made
type Store struct {
	dir, names, work string
	step             func(name string) error // tests fail a chosen step; nil otherwise
}

// Open makes the directories of a store if they are missing. It reads nothing.
func Open(root string) (*Store, error) {
	s := &Store{dir: filepath.Join(root, "containers"), names: filepath.Join(root, "names")}
	s.work = filepath.Join(s.dir, ".work")
	err := kernel.Spread(s.work)
	if err == nil {
		err = os.MkdirAll(s.names, 0o700)
	}
	if errors.Is(err, fs.ErrPermission) {
		err = fault.As(fault.Denied, err)
	}
	if err != nil {
		return nil, fault.Op("container.open", "", err)
	}
	return s, nil
}

// Dir is the directory of a container's own files. id must be a full id.
func (s *Store) Dir(id string) string { return filepath.Join(s.dir, id) }

// StatusFile is where the monitor of a container writes its status.
func (s *Store) StatusFile(id string) string { return s.dir + "/" + id + "/" + statusFile }

// Create stores a new record and takes its name; it fails with fault.Conflict,
// naming the holder, when the name is taken. An empty Name gets a random one,
// which is set in c. On any failure nothing is left. The record of a container
// with --rm is not made durable: nobody wants it back after a power cut.
func (s *Store) Create(c *Container) error {
	return fault.Op("container.create", "", s.create(c))
}

func (s *Store) create(c *Container) (err error) {
	if !ValidID(c.ID) {
		return fault.New(fault.Invalid, "bad container id %q", printable(c.ID))
	}
	c.Name = strings.TrimPrefix(c.Name, "/") // docker takes it, and shows it so
	undo := cleanup.New()
	defer func() {
		if uerr := undo.Run(); uerr != nil {
			err = errors.Join(err, fault.Op("undo", "", uerr))
		}
	}()
	s.sweep()
	stage, lock, err := s.stage(c.ID)
	if err != nil {
		return err
	}
	defer lock.Close()
	undo.Add(func() error { return removeTree(stage) })
	// The name comes before the record, so that a power cut can leave a name
	// without a record, which the next taker replaces, but not the reverse.
	if err := s.name(c); err != nil {
		return err
	}
	undo.Add(func() error { return s.freeName(c.Name, c.ID) })
	if err := s.writeRecord(stage, c); err != nil {
		return err
	}
	if err := s.syncUnlessRemove(c, s.names); err != nil {
		return err
	}
	if err := s.move(stage, s.Dir(c.ID)); err != nil {
		return err
	}
	undo.Add(func() error { return removeTree(s.Dir(c.ID)) })
	if err := s.syncUnlessRemove(c, s.dir); err != nil {
		return err
	}
	undo.Release()
	return nil
}

// Load reads the record of a full id.
func (s *Store) Load(id string) (*Container, error) {
	if !ValidID(id) {
		return nil, noSuch(id)
	}
	c, err := s.readRecord(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noSuch(id)
	}
	return c, fault.Op("container.load", "", err)
}

// Update changes a record under its lock: fn gets the record as it is, what it
// leaves behind is written whole. It may change neither ID nor Name.
func (s *Store) Update(id string, fn func(*Container) error) error {
	lock, c, err := s.lockRecord(id)
	if err != nil {
		return err
	}
	defer lock.Close()
	name := c.Name
	if err := fn(c); err != nil {
		return err
	}
	if c.ID != id || c.Name != name {
		return fault.New(fault.Invalid, "container.update: id and name are not for update")
	}
	return fault.Op("container.update", id, s.writeRecord(s.Dir(id), c))
}

// Remove deletes a record, its name and its directory. Whoever calls has ended
// the container; Remove does not look at the status.
func (s *Store) Remove(id string) error {
	lock, err := s.Lock(id)
	if err != nil {
		return err
	}
	defer lock.Close()
	return s.RemoveLocked(id)
}

// Lock waits for the lock of a container: one at a time starts, changes or
// removes it. It goes with the caller's death.
func (s *Store) Lock(id string) (*disk.Lock, error) {
	if !ValidID(id) {
		return nil, noSuch(id)
	}
	return s.lockDir(id)
}

// RemoveLocked is Remove by who has the lock.
func (s *Store) RemoveLocked(id string) error {
	c, err := s.readRecord(id)
	if err != nil { // damaged: still removable, whatever it was called
		c = &Container{ID: id, Name: s.nameOf(id)}
	}
	return fault.Op("container.remove", id, s.remove(c))
}

func (s *Store) remove(c *Container) error {
	if c.Name != "" {
		if err := s.freeName(c.Name, c.ID); err != nil {
			return err
		}
	}
	// The rename is the end of the container; what follows only frees space
	// and is finished by a later sweep if we die here.
	gone := filepath.Join(s.work, c.ID+".gone")
	if err := s.move(s.Dir(c.ID), gone); err != nil {
		return err
	}
	if err := s.syncUnlessRemove(c, s.dir); err != nil {
		return err
	}
	if err := s.at("remove tree"); err != nil {
		return err
	}
	return removeTree(gone)
}

func noSuch(id string) error {
	return fault.New(fault.NotFound, "No such container: %s", printable(id))
}
