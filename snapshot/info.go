package snapshot

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/under"
)

// Info describes a committed tree.
type Info struct {
	Name    Name
	Parent  Name // "" for the lowest layer
	Layers  int  // how many trees are stacked, its own included
	Created time.Time
	Err     error // not nil: the record or a tree is damaged, and Exists says no
}

// Names lists the committed trees, sorted by name, damaged ones too.
func (s *Store) Names() ([]Info, error) {
	names, err := s.list(namesDir)
	if err != nil {
		return nil, fault.Op("snapshot.names", "", err)
	}
	infos := make([]Info, 0, len(names))
	for _, name := range names {
		i := Info{Name: Name(name)}
		r, err := s.read(i.Name)
		if errors.Is(err, fault.NotFound) {
			continue // removed since it was listed
		}
		if err == nil {
			i.Parent, i.Layers, i.Created = r.Parent, len(r.Trees), r.Created
			_, err = s.lookup(i.Name)
		}
		i.Err = err
		infos = append(infos, i)
	}
	return infos, nil
}

// Usage returns the bytes of the files that were written to key. A file with
// several names counts once, a sparse one in full.
func (s *Store) Usage(key Key) (int64, error) {
	n, err := s.usage(key)
	return n, fault.Op("snapshot.usage", string(key), err)
}

func (s *Store) usage(key Key) (int64, error) {
	if _, err := s.Parent(key); err != nil {
		return 0, err
	}
	sizer, ok := s.driver.(Sizer)
	if !ok {
		return 0, fault.As(fault.Unsupported, errors.ErrUnsupported)
	}
	dir, ok := sizer.Own(s.active(key))
	if !ok {
		return 0, fault.As(fault.Unsupported, errors.ErrUnsupported)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	return measure(os.NewFile(uintptr(fd), dir), map[uint64]bool{}, 0)
}

// maxNesting ends the walk in a tree that is deeper than any path can be.
const maxNesting = 2048

// measure sums up the files below dir and closes it. The container may be
// changing the tree meanwhile: what vanishes is not counted.
func measure(dir *os.File, seen map[uint64]bool, depth int) (total int64, err error) {
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil || depth > maxNesting {
		return 0, err
	}
	for _, name := range names {
		n, err := measureOne(int(dir.Fd()), name, seen, depth)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return total, err
		}
		total += n
	}
	return total, nil
}

func measureOne(dirfd int, name string, seen map[uint64]bool, depth int) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return 0, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		fd, err := under.OpenAt(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0, under.Beneath)
		if err != nil {
			return 0, err
		}
		return measure(os.NewFile(uintptr(fd), name), seen, depth+1)
	}
	if st.Nlink > 1 {
		if seen[st.Ino] {
			return 0, nil
		}
		seen[st.Ino] = true
	}
	return st.Size, nil
}
