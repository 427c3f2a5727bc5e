package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/berth-engine/berth/internal/fault"
)

// Report is what Recover did.
type Report struct {
	Dropped     []string // trees of interrupted stages and removals, deleted
	Quarantined []string // damaged records and nameless trees, moved to corrupt/
}

// Recover tidies the store after crashes. Trees that are known to be leftovers
// are deleted; a damaged record, and a tree that no record knows, are moved to
// corrupt/ for somebody to look at. Active trees are never touched: their
// containers decide (see Keys).
func (s *Store) Recover() (Report, error) {
	dropped, err := s.sweep()
	rep := Report{Dropped: dropped}
	if err != nil {
		return rep, fault.Op("snapshot.recover", "", err)
	}
	rep.Quarantined, err = s.isolate()
	return rep, fault.Op("snapshot.recover", "", err)
}

// sweep deletes the trees whose marker nobody holds.
func (s *Store) sweep() (dropped []string, err error) {
	markers, err := s.abandoned()
	for _, m := range markers {
		id := m.Name()[len(s.path(stagingDir))+1:]
		if derr := s.discard(id); derr != nil {
			err = errors.Join(err, derr)
		} else {
			dropped = append(dropped, id)
		}
		m.Close()
	}
	return dropped, err
}

// abandoned locks the markers that nobody holds and returns them. It needs the
// store's lock for a moment, since a new marker is made before it is locked.
func (s *Store) abandoned() ([]*os.File, error) {
	l, err := s.lock(true)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	ids, err := s.list(stagingDir)
	if err != nil {
		return nil, err
	}
	var markers []*os.File
	for _, id := range ids {
		m, err := os.Open(s.path(stagingDir, id))
		if err != nil {
			return markers, err
		}
		if err := flock(m, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			m.Close() // somebody is at work
			continue
		}
		markers = append(markers, m)
	}
	return markers, nil
}

// isolate moves damaged names and unknown trees to corrupt/.
func (s *Store) isolate() (moved []string, err error) {
	l, err := s.lock(true)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	owned, bad, err := s.owned()
	if err != nil {
		return nil, err
	}
	for _, name := range bad {
		if err := s.quarantine(namesDir, name); err != nil {
			return moved, err
		}
		moved = append(moved, namesDir+"/"+name)
	}
	trees, err := s.list(layersDir)
	if err != nil {
		return moved, err
	}
	for _, id := range trees {
		if owned[id] {
			continue
		}
		if err := s.quarantine(layersDir, id); err != nil {
			return moved, err
		}
		moved = append(moved, layersDir+"/"+id)
	}
	return moved, nil
}

// owned returns the trees that a record or a marker speaks for, and the names
// whose record is not to be believed. A record of a later berth is an error:
// what it owns cannot be told.
func (s *Store) owned() (owned map[string]bool, bad []string, err error) {
	staged, err := s.list(stagingDir)
	if err != nil {
		return nil, nil, err
	}
	owned = map[string]bool{}
	for _, id := range staged {
		owned[id] = true
	}
	names, err := s.list(namesDir)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		r, err := s.lookup(Name(name))
		if errors.Is(err, fault.Damaged) {
			bad = append(bad, name)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		for _, id := range r.Trees {
			owned[id] = true
		}
	}
	return owned, bad, nil
}

// quarantine moves one entry of dir to corrupt/. A missing one is no error.
// The caller holds the store's lock alone.
func (s *Store) quarantine(dir, id string) error {
	if _, err := os.Lstat(s.path(dir, id)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.Mkdir(s.path(corruptDir), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	to := dir + "-" + id + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	return os.Rename(s.path(dir, id), s.path(corruptDir, to))
}
