package layer

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/under"
)

// opaqueXattr on a directory makes overlay show nothing of the directories of
// the same name below it.
const opaqueXattr = "trusted.overlay.opaque"

// isWhiteout recognises overlay's mark of a deleted name.
func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// whiteout deletes target, a name in the directory dir, as far as it belongs
// to lower layers. What this layer itself puts there stays, whether it comes
// before or after the whiteout in the tar.
func (t *tree) whiteout(dir, target string) error {
	fd, err := t.dir(dir)
	if err != nil {
		return err
	}
	if t.style == Plain {
		return t.prune(fd, target, join(dir, target))
	}
	err = unix.Mknodat(fd, target, unix.S_IFCHR, 0)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	st, err := lstat(fd, target)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	return setOpaque(fd, target)
}

// opaque makes dir hide everything of the layers below.
func (t *tree) opaque(dir string) error {
	fd, err := t.dir(dir)
	if err != nil {
		return err
	}
	if t.style == Plain {
		return t.pruneDir(fd, dir)
	}
	return unix.Fsetxattr(fd, opaqueXattr, []byte("y"), 0)
}

func setOpaque(fd int, base string) error {
	d, err := under.OpenAt(fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0, under.Beneath)
	if err != nil {
		return err
	}
	defer unix.Close(d)
	return unix.Fsetxattr(d, opaqueXattr, []byte("y"), 0)
}

// prune removes base unless this layer made it or something below it.
func (t *tree) prune(fd int, base, name string) error {
	if !t.made[name] {
		return t.remove(fd, base)
	}
	st, err := lstat(fd, base)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	d, err := under.OpenAt(fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0, under.Beneath)
	if err != nil {
		return err
	}
	defer unix.Close(d)
	return t.pruneDir(d, name)
}

func (t *tree) pruneDir(fd int, name string) error {
	bases, err := list(fd)
	if err != nil {
		return err
	}
	for _, base := range bases {
		if err := t.prune(fd, base, join(name, base)); err != nil {
			return err
		}
	}
	return nil
}

func join(dir, base string) string {
	if dir == "" {
		return base
	}
	return dir + "/" + base
}
