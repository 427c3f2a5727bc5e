package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/internal/mount"
)

// parentLink in a key's directory points to the record of the name below it.
// A link is made in one step and cannot be half-written, which makes it the
// whole record of an active tree.
const parentLink = "parent"

// Prepare makes the writable tree key on top of parent. It is on the way of
// every container: a few mkdirs, and nothing is synced.
func (s *Store) Prepare(key Key, parent Name) error {
	return fault.Op("snapshot.prepare", string(key), s.prepare(key, parent))
}

func (s *Store) prepare(key Key, parent Name) error {
	if err := checkID("key", string(key)); err != nil {
		return err
	}
	l, err := s.lock(false)
	if err != nil {
		return err
	}
	defer l.Close()
	parents, err := s.parents(parent)
	if err != nil {
		return err
	}
	t := s.active(key)
	if err := s.at("mkdir"); err != nil {
		return err
	}
	if err := kernel.MkdirSpread(t.Dir); errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Exists, "an active snapshot of that name is there, remove it first")
	} else if err != nil {
		return err
	}
	undo := cleanup.New()
	defer undo.Run()
	undo.Add(func() error { return s.driver.Remove(t) })
	if err := s.at("create"); err != nil {
		return err
	}
	if err := s.driver.Create(t, parents); err != nil {
		return err
	}
	if err := s.at("link"); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join("..", "..", namesDir, string(parent)), filepath.Join(t.Dir, parentLink)); err != nil {
		return err
	}
	undo.Release()
	return nil
}

func (s *Store) active(key Key) Tree { return Tree{Dir: s.path(keysDir, string(key))} }

// Parent returns the name that key was prepared on.
func (s *Store) Parent(key Key) (Name, error) {
	if err := checkID("key", string(key)); err != nil {
		return "", err
	}
	target, err := os.Readlink(s.path(keysDir, string(key), parentLink))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.New(fault.NotFound, "no active snapshot %s", key)
	}
	if err != nil {
		return "", err
	}
	name := filepath.Base(target)
	return Name(name), checkID("parent", name)
}

// Mounts returns the mounts that show key's tree, in order, with the first one
// on the root directory itself. A floor, if there is one, is a directory of the
// caller's that lies below the lowest layer: what no layer has is found there.
// It never changes, and the machine's own root has none.
func (s *Store) Mounts(key Key, floor string) ([]mount.Mount, error) {
	parents, err := s.below(key, floor)
	if err != nil {
		return nil, fault.Op("snapshot.mounts", string(key), err)
	}
	return s.driver.Mounts(s.active(key), parents, false), nil
}

// MountsVolatile is Mounts for a tree whose content nobody wants after a crash
// of the machine: where the driver can, the end of the mount does not wait for
// the disk.
func (s *Store) MountsVolatile(key Key, floor string) ([]mount.Mount, error) {
	d, ok := s.driver.(Volatile)
	if !ok {
		return s.Mounts(key, floor)
	}
	parents, err := s.below(key, floor)
	if err != nil {
		return nil, fault.Op("snapshot.mounts", string(key), err)
	}
	m, err := d.Volatile(s.active(key), parents)
	return m, fault.Op("snapshot.mounts", string(key), err)
}

// deepest is how many layers a floor is laid below. Kernels have limits of
// their own, and a floor shall not be what an image fails for.
const deepest = 100

// below returns the layers under key's tree, the top one first.
func (s *Store) below(key Key, floor string) ([]Tree, error) {
	parent, err := s.Parent(key)
	if err != nil {
		return nil, err
	}
	trees, err := s.parents(parent)
	if floor != "" && parent != Host && len(trees) < deepest {
		trees = append(trees, Tree{Dir: floor})
	}
	return trees, err
}

// Remove deletes the tree key and what was written to it. A key that is not
// there is no error. The caller has unmounted it everywhere.
func (s *Store) Remove(key Key) error {
	if err := checkID("key", string(key)); err != nil {
		return fault.Op("snapshot.remove", "", err)
	}
	if err := s.at("remove"); err != nil {
		return fault.Op("snapshot.remove", string(key), err)
	}
	return fault.Op("snapshot.remove", string(key), s.driver.Remove(s.active(key)))
}

// Keys lists the active trees, sorted, those of an interrupted Prepare too.
func (s *Store) Keys() ([]Key, error) {
	ids, err := s.list(keysDir)
	keys := make([]Key, len(ids))
	for i, id := range ids {
		keys[i] = Key(id)
	}
	return keys, fault.Op("snapshot.keys", "", err)
}

// list returns the sorted entries of one of the store's directories that have
// a proper name; what else is found there is not ours.
func (s *Store) list(dir string) ([]string, error) {
	f, err := os.Open(s.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ids, err := f.Readdirnames(-1)
	ids = slices.DeleteFunc(ids, func(id string) bool { return !validID(id) })
	slices.Sort(ids)
	return ids, err
}
