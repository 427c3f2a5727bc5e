package container

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/internal/under"
)

// at is a failpoint: it lets a test fail the named step.
func (s *Store) at(step string) error {
	if s.step == nil {
		return nil
	}
	return s.step(step)
}

func (s *Store) readRecord(id string) (*Container, error) {
	var buf []byte
	return s.readRecordInto(&buf, id)
}

func (s *Store) readRecordInto(buf *[]byte, id string) (*Container, error) {
	path := s.dir + "/" + id + "/" + recordFile
	c := new(Container)
	if err := readInto(buf, path, c, quickContainer); err != nil {
		return nil, err
	}
	if c.ID != id {
		return nil, fault.New(fault.Damaged, "read %s: the record is of %q", path, printable(c.ID))
	}
	return c, nil
}

// writeRecord replaces the record in dir, durably unless it has --rm.
func (s *Store) writeRecord(dir string, c *Container) error {
	if err := s.at("write record"); err != nil {
		return err
	}
	return disk.WriteJSON(filepath.Join(dir, recordFile), c, 0o600, !c.Request.Remove)
}

// syncUnlessRemove makes the entries of dir durable.
func (s *Store) syncUnlessRemove(c *Container, dir string) error {
	if err := s.at("sync " + filepath.Base(dir)); err != nil {
		return err
	}
	if c.Request.Remove {
		return nil
	}
	return disk.SyncDir(dir)
}

func (s *Store) move(from, to string) error {
	if err := s.at("move"); err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil { // rename(2) would replace an empty directory
		return fault.New(fault.Exists, "%s exists", to)
	}
	return os.Rename(from, to)
}

// stage makes and locks the directory in which a record is built.
func (s *Store) stage(id string) (string, *disk.Lock, error) {
	if err := s.at("stage"); err != nil {
		return "", nil, err
	}
	dir := filepath.Join(s.work, id)
	for range 100 {
		if err := kernel.MkdirSpread(dir); err != nil {
			return "", nil, err
		}
		lock, err := disk.LockDir(dir, disk.Exclusive)
		if !errors.Is(err, fs.ErrNotExist) {
			return dir, lock, err
		} // a sweep took it between the two calls
	}
	return "", nil, fault.New(fault.Conflict, "%s vanishes as often as it is made", dir)
}

// sweep removes what dead creators and removers left in .work. Whatever cannot
// be locked at once has a live owner; whatever cannot be removed stays for the
// next sweep.
func (s *Store) sweep() {
	for _, name := range s.atWork() {
		dir := filepath.Join(s.work, name)
		lock, err := disk.LockDir(dir, disk.Exclusive|disk.NoWait)
		if err != nil {
			continue
		}
		_ = removeTree(dir)
		lock.Close()
	}
}

// atWork lists what is in .work: records being made or unmade.
func (s *Store) atWork() []string {
	return slices.DeleteFunc(dirNames(s.work), func(name string) bool { return name == kernel.Places })
}

// lockDir waits for the lock of a container's directory.
func (s *Store) lockDir(id string) (*disk.Lock, error) {
	lock, err := disk.LockDir(s.Dir(id), disk.Exclusive)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noSuch(id)
	}
	return lock, fault.Op("container.lock", id, err)
}

func (s *Store) lockRecord(id string) (*disk.Lock, *Container, error) {
	if !ValidID(id) {
		return nil, nil, noSuch(id)
	}
	lock, err := s.lockDir(id)
	if err != nil {
		return nil, nil, err
	}
	c, err := s.Load(id)
	if err != nil {
		lock.Close()
		return nil, nil, err
	}
	return lock, c, nil
}

// dirNames lists a directory in no order; an unreadable one is empty.
func dirNames(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	return names
}

// removeTree deletes a directory of ours, never what is mounted below it. A
// missing one is fine.
func removeTree(dir string) error { return under.RemoveTree(dir) }
