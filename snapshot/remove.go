package snapshot

import (
	"errors"
	"os"
	"syscall"

	"github.com/berth-engine/berth/internal/fault"
)

// RemoveName deletes a committed tree. It is a fault.Conflict while another
// name or an active tree stands on it, and fault.NotFound when there is none.
//
//	rename names/NAME to staging/ID ─► fsync names ─► delete l/ID, staging/ID
//
// After the rename the tree is a leftover like that of an interrupted Stage,
// so whenever this is cut short somebody else finishes it.
func (s *Store) RemoveName(n Name) error {
	return fault.Op("snapshot.remove", string(n), s.removeName(n))
}

func (s *Store) removeName(n Name) error {
	if n == Host {
		return fault.New(fault.Invalid, "is this machine's own file system")
	}
	id, marker, err := s.unname(n)
	if err != nil || marker == nil {
		return err
	}
	defer marker.Close()
	if err := s.syncNames(); err != nil {
		return err
	}
	return s.discard(id)
}

// unname takes the name away under the lock. The marker that it returns is
// locked; it is nil when the record was damaged and has been put aside.
func (s *Store) unname(n Name) (id string, marker *os.File, err error) {
	l, err := s.lock(true)
	if err != nil {
		return "", nil, err
	}
	defer l.Close()
	r, err := s.read(n)
	if errors.Is(err, fault.Damaged) {
		return "", nil, s.quarantine(namesDir, string(n))
	}
	if err != nil {
		return "", nil, err
	}
	if err := s.unused(n); err != nil {
		return "", nil, err
	}
	id = r.Trees[0]
	marker, err = os.Open(s.path(namesDir, string(n)))
	if err != nil {
		return "", nil, err
	}
	err = s.at("rename")
	if err == nil {
		err = flock(marker, syscall.LOCK_EX) // a Commit may be about to let go
	}
	if err == nil {
		err = os.Rename(marker.Name(), s.path(stagingDir, id))
	}
	if err != nil {
		marker.Close()
		return "", nil, err
	}
	return id, marker, nil
}

// unused is a conflict naming what stands on n.
func (s *Store) unused(n Name) error {
	keys, err := s.list(keysDir)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if parent, err := s.Parent(Key(key)); err == nil && parent == n {
			return fault.New(fault.Conflict, "active snapshot %s uses it", key)
		}
	}
	names, err := s.list(namesDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if r, err := s.read(Name(name)); err == nil && r.Parent == n {
			return fault.New(fault.Conflict, "snapshot %s is built on it", name)
		}
	}
	return nil
}
