package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// What a store's root holds.
const (
	namesDir   = "names"   // NAME: the record of a committed tree
	layersDir  = "l"       // ID: files of a committed or staged tree
	stagingDir = "staging" // ID: tree l/ID belongs to no name; locked while somebody works on it
	keysDir    = "keys"    // KEY/: an active tree, with a link "parent" to its name
	corruptDir = "corrupt" // what was damaged, moved out of the way

	// The lock is shared by makers; whoever takes names away holds it alone.
	// It lies in the directory that is made last, so who gets it finds all.
	lockFile = "keys/.lock"
)

// Store keeps the records of one root. It is safe for concurrent use, by
// several processes too.
type Store struct {
	root      string
	driver    Driver
	sweepOnce sync.Once

	// before is called before each step that changes the disk, with the
	// step's name. It is nil but in tests, which let steps fail or look at
	// what a process killed there would leave.
	before func(step string) error
}

func (s *Store) at(step string) error {
	if s.before == nil {
		return nil
	}
	return s.before(step)
}

// Open returns the store at root, an absolute path. It touches nothing:
// directories are made when they are needed first.
func Open(root string, d Driver) (*Store, error) {
	if !filepath.IsAbs(root) {
		return nil, fault.New(fault.Invalid, "snapshot root %q is not absolute", root)
	}
	return &Store{root: filepath.Clean(root), driver: d}, nil
}

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.root}, elem...)...)
}

// makeDirs makes the root's directories, which nobody but root may enter.
func (s *Store) makeDirs() error {
	if err := os.MkdirAll(s.root, 0o700); err != nil {
		return err
	}
	for _, dir := range []string{namesDir, layersDir, stagingDir} {
		err := os.Mkdir(s.path(dir), 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err == nil && dir == layersDir {
			// Layers unpacked in parallel then do not compete for one inode
			// bitmap, nor search one that was just emptied.
			kernel.Scatter(s.path(dir))
		}
	}
	return kernel.Spread(s.path(keysDir))
}

// lock takes the store's lock. Nothing slow may happen under it: no unpacking,
// no fsync, no removal of trees.
func (s *Store) lock(exclusive bool) (*disk.Lock, error) {
	l, err := disk.Acquire(s.path(lockFile), exclusive)
	if !errors.Is(err, fs.ErrNotExist) {
		return l, err
	}
	if err := s.makeDirs(); err != nil {
		return nil, err
	}
	return disk.Acquire(s.path(lockFile), exclusive)
}

// Exists reports whether n is committed and whole: its record is there and
// valid, and so are the directories of all its layers.
func (s *Store) Exists(n Name) bool {
	if n == Host {
		return true
	}
	_, err := s.lookup(n)
	return err == nil
}

// parents returns the trees of name, topmost first.
func (s *Store) parents(name Name) ([]Tree, error) {
	if name == Host {
		return []Tree{{Dir: "/", Host: true}}, nil
	}
	r, err := s.lookup(name)
	if err != nil {
		return nil, err
	}
	return s.trees(r), nil
}
