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
	t.note(dir)
	if t.style == Plain {
		return t.prune(fd, target, join(dir, target))
	}
	t.deleted[join(dir, target)] = true
	err = unix.Mknodat(fd, target, unix.S_IFCHR, 0)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	st, err := lstat(fd, target)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	return t.setOpaque(fd, target, join(dir, target))
}

// opaque makes dir hide everything of the layers below.
func (t *tree) opaque(dir string) error {
	fd, err := t.dir(dir)
	if err != nil {
		return err
	}
	t.note(dir)
	if t.style == Plain {
		return t.pruneDir(fd, dir)
	}
	t.opaques[dir] = true
	return unix.Fsetxattr(fd, opaqueXattr, []byte("y"), 0)
}

// setOpaque marks the directory base in fd, which is name from the root.
func (t *tree) setOpaque(fd int, base, name string) error {
	d, err := under.OpenAt(fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0, under.Beneath)
	if err != nil {
		return err
	}
	defer unix.Close(d)
	t.opaques[name] = true
	return unix.Fsetxattr(d, opaqueXattr, []byte("y"), 0)
}

// tidy removes whiteouts from where nothing shows through anyway. Overlay does
// not filter a directory that only one layer has: a whiteout in it would be
// listed, as a name that cannot be opened.
func (t *tree) tidy() error {
	if len(t.opaques) == 0 {
		return nil
	}
	for name := range t.deleted {
		dir, base := split(name)
		if !t.hidden(dir) {
			continue
		}
		fd, err := t.open(orDot(dir))
		if isMissing(err) {
			continue // replaced since
		}
		if err != nil {
			return err
		}
		st, err := lstat(fd, base)
		if err == nil && isWhiteout(st) {
			err = unix.Unlinkat(fd, base, 0)
		}
		unix.Close(fd)
		if err != nil && !isMissing(err) {
			return err
		}
	}
	return nil
}

// hidden reports whether dir or a directory above it is opaque.
func (t *tree) hidden(dir string) bool {
	for ; dir != ""; dir, _ = split(dir) {
		if t.opaques[dir] {
			return true
		}
	}
	return t.opaques[""]
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
