package container

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/berth-engine/berth/internal/fault"
)

// Find looks a container up by full id, full name or a unique prefix of its
// id, in this order, as docker does. A leading "/" of a name is ignored.
func (s *Store) Find(q string) (*Container, error) {
	id, c, err := s.resolve(q)
	if err != nil || c != nil {
		return c, err
	}
	c, err = s.Load(id)
	if errors.Is(err, fault.NotFound) { // removed between the two
		return nil, noSuch(q)
	}
	return c, err
}

// Resolve is Find without reading more than it must: it also gives the id of
// a container whose record is damaged, so that it can be removed.
func (s *Store) Resolve(q string) (string, error) {
	id, _, err := s.resolve(q)
	return id, err
}

// resolve also gives the record, when it had to be read.
func (s *Store) resolve(q string) (string, *Container, error) {
	if q == "" {
		return "", nil, fault.New(fault.Invalid, "invalid container name or ID: value is empty")
	}
	if ValidID(q) && s.exists(q) {
		return q, nil, nil
	}
	id, c, err := s.byName(strings.TrimPrefix(q, "/"))
	if id != "" || err != nil {
		return id, c, err
	}
	id, err = s.byPrefix(q)
	return id, nil, err
}

func (s *Store) exists(id string) bool {
	_, err := os.Lstat(s.Dir(id))
	return err == nil
}

// byName returns "" when nobody has the name. A link alone does not count: it
// may be left over from a creation or rename that died.
func (s *Store) byName(name string) (string, *Container, error) {
	if CheckName(name) != nil {
		return "", nil, nil
	}
	id, err := os.Readlink(s.nameLink(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fault.Op("container.find", name, err)
	}
	c, err := s.Load(id)
	if errors.Is(err, fault.NotFound) || (err == nil && c.Name != name) {
		return "", nil, nil
	}
	if err != nil { // damaged: Load says so again to who wants the record
		return id, nil, nil //nolint:nilerr // the name is all the same its own
	}
	return id, c, nil
}

func (s *Store) byPrefix(q string) (string, error) {
	if !isHex(q) || len(q) >= IDLen {
		return "", noSuch(q)
	}
	hits := slices.DeleteFunc(s.ids(), func(id string) bool { return !strings.HasPrefix(id, q) })
	switch len(hits) {
	case 0:
		return "", noSuch(q)
	case 1:
		return hits[0], nil
	}
	slices.Sort(hits)
	return "", fault.New(fault.Invalid, "Multiple IDs found with provided prefix: %s (%d containers, the first two are %s and %s)",
		q, len(hits), hits[0][:ShortLen], hits[1][:ShortLen])
}

// ids lists the full ids of the store, in no order.
func (s *Store) ids() []string {
	return slices.DeleteFunc(dirNames(s.dir), func(n string) bool { return !ValidID(n) })
}

// List reads all records, oldest first. A record that cannot be read does not
// hide the others: it is missing from the list and named in the error, so a
// caller may use both results.
func (s *Store) List() ([]*Container, error) {
	ids := s.ids()
	found := make([]*Container, len(ids))
	errs := make([]error, len(ids))
	parallel(len(ids), func(i int, buf *[]byte) {
		c, err := s.readRecordInto(buf, ids[i])
		if errors.Is(err, fs.ErrNotExist) {
			return // removed since
		}
		found[i], errs[i] = c, err
	})
	found = slices.DeleteFunc(found, func(c *Container) bool { return c == nil })
	slices.SortFunc(found, func(a, b *Container) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return found, fault.Op("container.list", "", errors.Join(errs...))
}

// Statuses reads the status of each container, in the order given. One that
// cannot be read is Dead and says why in Error.
func (s *Store) Statuses(list []*Container) []Status {
	out := make([]Status, len(list))
	parallel(len(list), func(i int, buf *[]byte) {
		st, err := readStatusInto(buf, s.StatusFile(list[i].ID))
		if err != nil {
			st = Status{State: Dead, Error: err.Error()}
		}
		out[i] = st
	})
	return out
}

// parallel calls do(0) … do(n-1) on as many threads as there are processors:
// reading small files is system calls and decoding, hardly any waiting. buf is
// the thread's own.
func parallel(n int, do func(i int, buf *[]byte)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			var buf []byte
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i, &buf)
			}
		})
	}
	wg.Wait()
}
