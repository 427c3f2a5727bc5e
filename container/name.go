package container

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
)

// tries bounds loops that only other processes can make us repeat.
const tries = 100

// name takes c.Name, or finds a free random one.
func (s *Store) name(c *Container) error {
	if err := s.at("name"); err != nil {
		return err
	}
	if c.Name != "" {
		return s.takeName(c.Name, c.ID)
	}
	for range tries {
		name := RandomName(rand.IntN)
		err := s.takeName(name, c.ID)
		if err == nil {
			c.Name = name
		}
		if !errors.Is(err, fault.Conflict) {
			return err
		}
	}
	// Nearly all pairs are taken; the id is as good a name as any.
	c.Name = RandomName(rand.IntN) + "_" + c.ID[:ShortLen]
	return s.takeName(c.Name, c.ID)
}

// takeName makes the link names/NAME -> id. Making it is exclusive, so of two
// takers one gets EEXIST, whatever process it runs in.
func (s *Store) takeName(name, id string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	for range tries {
		err := os.Symlink(id, s.nameLink(name))
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		holder, err := os.Readlink(s.nameLink(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if s.holds(holder, name) {
			return nameTaken(name, holder)
		}
		if err := s.dropStale(name, holder); err != nil {
			return err
		}
	}
	return fault.New(fault.Conflict, "the name %q changes hands all the time", name)
}

func nameTaken(name, holder string) error {
	return fault.New(fault.Conflict, `Conflict. The container name "/%s" is already in use by container "%s". You have to remove (or rename) that container to be able to reuse that name.`, name, holder)
}

// holds reports whether id has a right to name: somebody is just creating it,
// or its record says so. Work comes first: a creation ends by moving from
// .work to containers, so it is seen in one of the two.
func (s *Store) holds(id, name string) bool {
	if !ValidID(id) {
		return false
	}
	lock, err := disk.LockDir(filepath.Join(s.work, id), disk.NoWait)
	if err == nil {
		lock.Close() // nobody holds it exclusively: its creator is dead
	} else if !errors.Is(err, fs.ErrNotExist) {
		return true
	}
	c, err := s.readRecord(id)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	return err != nil || c.Name == name // a damaged record keeps its name
}

// dropStale removes a link that a dead process left. The lock keeps two takers
// from removing each other's fresh link, and waits for a rename in progress.
func (s *Store) dropStale(name, holder string) error {
	lock, err := s.lockNames()
	if err != nil {
		return err
	}
	defer lock.Close()
	now, err := os.Readlink(s.nameLink(name))
	if errors.Is(err, fs.ErrNotExist) || (err == nil && (now != holder || s.holds(now, name))) {
		return nil // it changed meanwhile; the caller looks again
	}
	if err != nil {
		return err
	}
	return os.Remove(s.nameLink(name))
}

// freeName removes names/NAME if it belongs to id.
func (s *Store) freeName(name, id string) error {
	if err := s.at("free name"); err != nil {
		return err
	}
	if CheckName(name) != nil { // a damaged record: never build a path from it
		return nil
	}
	holder, err := os.Readlink(s.nameLink(name))
	if errors.Is(err, fs.ErrNotExist) || (err == nil && holder != id) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Remove(s.nameLink(name))
}

// nameOf finds the link of an id whose record cannot be read.
func (s *Store) nameOf(id string) string {
	for _, name := range dirNames(s.names) {
		if holder, err := os.Readlink(s.nameLink(name)); err == nil && holder == id {
			return name
		}
	}
	return ""
}

func (s *Store) nameLink(name string) string { return filepath.Join(s.names, name) }

func (s *Store) lockNames() (*disk.Lock, error) {
	return disk.Acquire(filepath.Join(s.names, ".lock"), true)
}

// Rename gives a container another name. A crash in the middle leaves it with
// the old or the new one, never with none.
func (s *Store) Rename(id, name string) error {
	return fault.Op("container.rename", "", s.rename(id, strings.TrimPrefix(name, "/")))
}

func (s *Store) rename(id, name string) error {
	lock, c, err := s.lockRecord(id)
	if err != nil {
		return err
	}
	defer lock.Close()
	old := c.Name
	if old == name {
		return fault.New(fault.Invalid, "Renaming a container with the same name as its current name")
	}
	// Until the record says so the new link looks stale to others. dropStale
	// waits for this lock before it believes that.
	names, err := s.lockNames()
	if err != nil {
		return err
	}
	defer names.Close()
	if err := s.takeNameLocked(name, id); err != nil {
		return err
	}
	c.Name = name
	err = s.syncUnlessRemove(c, s.names)
	if err == nil {
		err = s.writeRecord(s.Dir(id), c)
	}
	if err != nil {
		c.Name = old // the record may have been replaced and only its sync failed
		return errors.Join(err, s.writeRecord(s.Dir(id), c), s.freeName(name, id))
	}
	return s.freeName(old, id)
}

// takeNameLocked is takeName for one who holds the lock of names.
func (s *Store) takeNameLocked(name, id string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := s.at("name"); err != nil {
		return err
	}
	if holder, err := os.Readlink(s.nameLink(name)); err == nil {
		if s.holds(holder, name) {
			return nameTaken(name, holder)
		}
		if err := os.Remove(s.nameLink(name)); err != nil {
			return err
		}
	}
	err := os.Symlink(id, s.nameLink(name))
	if errors.Is(err, fs.ErrExist) { // a creation was quicker
		holder, _ := os.Readlink(s.nameLink(name))
		return nameTaken(name, holder)
	}
	return err
}
