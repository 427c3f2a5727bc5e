package snaptest

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/internal/mount"
)

// with mounts what ms says in a private mount namespace and calls look with
// the directory. Look runs on another thread and must not end the test.
func (s *suite) with(ms []mount.Mount, look func(dir string)) {
	s.Helper()
	target := s.TempDir()
	s.must(kernel.OwnMounts(func() error {
		for _, m := range ms {
			if err := mountOne(m, target); err != nil {
				return err
			}
		}
		look(target)
		return nil
	}))
}

// view is with for the tree of a key.
func (s *suite) view(key snapshotKey, look func(dir string)) {
	s.Helper()
	ms, err := s.store.Mounts(key, "")
	s.must(err)
	s.with(ms, look)
}

func mountOne(m mount.Mount, root string) error {
	var flags uintptr
	var data []string
	ro := false
	for _, o := range m.Options {
		switch o {
		case "bind":
			flags |= unix.MS_BIND
		case "ro":
			ro = true
		default:
			data = append(data, o)
		}
	}
	target := filepath.Join(root, m.Target)
	if ro && flags&unix.MS_BIND == 0 {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount(m.Source, target, m.Type, flags, strings.Join(data, ",")); err != nil {
		return err
	}
	if ro && flags&unix.MS_BIND != 0 {
		return unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	}
	return nil
}
