package snapshot

import (
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
)

// Commit gives the stage its name. Once it returns, the layer survives a power
// cut. When the name was committed by somebody else meanwhile, theirs stays
// and this one is dropped.
func (st *Stage) Commit() error { return Commit(st) }

// Commit commits the stages of one store in the given order, parents first,
// with a single sync for all of them. Those that were not committed when it
// fails are still staged.
//
//	record into staging/ID ─► syncfs ─► rename to names/NAME ─► fsync names
func Commit(stages ...*Stage) error {
	if len(stages) == 0 {
		return nil
	}
	s := stages[0].store
	for _, st := range stages {
		if st.marker == nil {
			return fault.New(fault.Conflict, "snapshot.commit %s: the stage has ended", st.name)
		}
	}
	known := map[Name][]string{}
	for _, st := range stages {
		if err := st.write(known); err != nil {
			return fault.Op("snapshot.commit", string(st.name), err)
		}
	}
	if err := s.syncAll(stages[0].marker); err != nil {
		return fault.Op("snapshot.commit", string(stages[0].name), err)
	}
	for _, st := range stages {
		if err := st.publish(); err != nil {
			return fault.Op("snapshot.commit", string(st.name), err)
		}
	}
	return fault.Op("snapshot.commit", string(stages[0].name), s.syncNames())
}

// syncAll writes out the file system that f is on. F was open before anything
// was unpacked, so an error of writing since then is reported.
func (s *Store) syncAll(f *os.File) error {
	if err := s.at("sync"); err != nil {
		return err
	}
	return fault.Op("sync", s.root, unix.Syncfs(int(f.Fd())))
}

// syncNames makes names that were made or taken away durable.
func (s *Store) syncNames() error {
	if err := s.at("sync names"); err != nil {
		return err
	}
	return disk.SyncDir(s.path(namesDir))
}

// write puts the record into the marker, in place of that of an earlier Commit
// that failed. Known has the trees of names that are committed together with
// this one, and gets its own.
func (st *Stage) write(known map[Name][]string) error {
	below, err := st.store.chain(st.parent, known)
	if err != nil {
		return err
	}
	if len(below) >= maxLayers {
		return fault.New(fault.TooLarge, "more than %d layers", maxLayers)
	}
	st.trees = append([]string{st.id}, below...)
	known[st.name] = st.trees
	r := &record{Format: recordFormat, Name: st.name, Parent: st.parent, Trees: st.trees, Created: time.Now().UTC()}
	data, err := r.encode()
	if err != nil {
		return err
	}
	if err := st.store.at("write"); err != nil {
		return err
	}
	if err := st.marker.Truncate(0); err != nil {
		return err
	}
	_, err = st.marker.WriteAt(data, 0)
	return err
}

// chain returns the trees of a parent, which is committed or among known.
func (s *Store) chain(parent Name, known map[Name][]string) ([]string, error) {
	if parent == "" {
		return nil, nil
	}
	if trees := known[parent]; trees != nil {
		return trees, nil
	}
	r, err := s.lookup(parent)
	if err != nil {
		return nil, fault.Op("parent", string(parent), err)
	}
	return r.Trees, nil
}

// publish moves the record to its name. From then on the tree belongs to it.
func (st *Stage) publish() error {
	committed, err := st.rename()
	if err != nil {
		return err
	}
	if !committed {
		return st.drop()
	}
	err = st.marker.Close()
	st.marker = nil
	return err
}

// rename reports false when the name has a good tree already. It holds the
// lock alone: a name that is in the way and damaged must still be so when it
// is moved aside.
func (st *Stage) rename() (bool, error) {
	s := st.store
	l, err := s.lock(true)
	if err != nil {
		return false, err
	}
	defer l.Close()
	if s.Exists(st.name) {
		return false, nil
	}
	if err := st.settle(); err != nil {
		return false, err
	}
	if err := s.quarantine(namesDir, string(st.name)); err != nil {
		return false, err
	}
	if err := s.at("rename"); err != nil {
		return false, err
	}
	return true, os.Rename(s.path(stagingDir, st.id), s.path(namesDir, string(st.name)))
}

// settle makes sure that the record names the parent's trees as they are now:
// since it was written the parent may have been removed, or committed by
// somebody else with another tree.
func (st *Stage) settle() error {
	below, err := st.store.chain(st.parent, nil)
	if err != nil || slices.Equal(st.trees[1:], below) {
		return err
	}
	if err := st.write(map[Name][]string{st.parent: below}); err != nil {
		return err
	}
	return st.marker.Sync()
}
