package layer

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/under"
)

// tree places entries below a root directory. All its calls take clean names.
//
// The descriptors of the directories used last are kept: tars list a
// directory's files one after the other, so nearly every entry costs no
// lookup of its parent.
type tree struct {
	root  int // descriptor of the top directory
	cache []openDir
	stale bool // something was removed: forget the cache before the next entry
	style Style
	who   identity

	made    map[string]bool // Plain: names of this layer
	deleted map[string]bool // Overlay: names with a whiteout
	opaques map[string]bool // Overlay: directories that hide what is below
}

type openDir struct {
	path string
	fd   int
}

const cachedDirs = 16

// mkdirPerm is for directories that no entry describes.
const mkdirPerm = 0o755

func (t *tree) close() {
	t.forget()
	unix.Close(t.root)
}

func (t *tree) forget() {
	for _, d := range t.cache {
		unix.Close(d.fd)
	}
	t.cache, t.stale = t.cache[:0], false
}

// next must be called before each entry.
func (t *tree) next() {
	if t.stale {
		t.forget()
	}
}

// dir returns a descriptor of the directory name, which is made if it is not
// there. It stays valid until dir was called for many others, or next.
func (t *tree) dir(name string) (int, error) {
	if name == "" {
		return t.root, nil
	}
	for i := len(t.cache) - 1; i >= 0; i-- {
		if d := t.cache[i]; d.path == name {
			copy(t.cache[i:], t.cache[i+1:])
			t.cache[len(t.cache)-1] = d
			return d.fd, nil
		}
	}
	fd, err := t.open(name)
	if isMissing(err) {
		fd, err = t.makeDirs(name)
	}
	if err != nil {
		return -1, err
	}
	if len(t.cache) == cachedDirs {
		unix.Close(t.cache[0].fd)
		t.cache = append(t.cache[:0], t.cache[1:]...)
	}
	t.cache = append(t.cache, openDir{strings.Clone(name), fd})
	return fd, nil
}

// open resolves a directory. Links of the same layer are followed inside the
// root, as in a container; a mount point is an error.
func (t *tree) open(name string) (int, error) {
	return under.OpenAt(t.root, name, unix.O_RDONLY|unix.O_DIRECTORY, 0, under.InRoot|unix.RESOLVE_NO_XDEV)
}

// isMissing tells that a path does not lead to a directory: nothing there, a
// file, or links that go nowhere.
func isMissing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// makeDirs makes the directory name and the missing ones above it. What stands
// in the way and is no directory is replaced: it came from this tar.
func (t *tree) makeDirs(name string) (int, error) {
	end := len(name)
	fd := -1
	for fd < 0 { // up to the deepest directory that is there
		end = max(strings.LastIndexByte(name[:end], '/'), 0)
		if end == 0 {
			fd = t.root
			break
		}
		var err error
		fd, err = t.open(name[:end])
		if err != nil && !isMissing(err) {
			return -1, err
		}
	}
	for end < len(name) { // and down again
		start := end
		if start > 0 {
			start++
		}
		end = len(name)
		if i := strings.IndexByte(name[start:], '/'); i >= 0 {
			end = start + i
		}
		next, err := t.makeDir(fd, name[start:end], name[:end])
		if fd != t.root {
			unix.Close(fd)
		}
		if err != nil {
			return -1, err
		}
		fd = next
	}
	return fd, nil
}

func (t *tree) makeDir(fd int, base, path string) (int, error) {
	fresh, err := t.mkdir(fd, base, path, mkdirPerm)
	if err != nil {
		return -1, err
	}
	t.note(path)
	d, err := under.OpenAt(fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0, under.Beneath)
	if err == nil && fresh && !t.who.exact(mkdirPerm) {
		err = unix.Fchmod(d, mkdirPerm)
	}
	return d, err
}

// mkdir makes base in fd, which is name from the root. A directory that is
// there stays and is not fresh, anything else is replaced. Where a whiteout is
// or was, its meaning stays: the new directory hides what lies below it.
func (t *tree) mkdir(fd int, base, name string, perm uint32) (fresh bool, err error) {
	err = unix.Mkdirat(fd, base, perm)
	if errors.Is(err, unix.EEXIST) {
		st, serr := lstat(fd, base)
		if serr != nil || st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return false, serr
		}
		err = t.create(fd, base, func() error { return unix.Mkdirat(fd, base, perm) })
	}
	if err == nil && t.deleted[name] {
		err = t.setOpaque(fd, base, name)
	}
	return true, err
}

// create runs make, and once more after removing what is in the way.
func (t *tree) create(fd int, base string, mk func() error) error {
	err := mk()
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if err := t.remove(fd, base); err != nil {
		return err
	}
	return mk()
}

// remove deletes base and all below it.
func (t *tree) remove(fd int, base string) error {
	t.stale = true
	return under.RemoveAt(fd, base)
}

// note remembers that this layer has an entry name, and so the directories
// above it; only Plain asks for it.
func (t *tree) note(name string) {
	for t.style == Plain && name != "" && !t.made[name] {
		t.made[name] = true
		name, _ = split(name)
	}
}

func lstat(fd int, base string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	return &st, err
}

// newTree opens dir, which the caller trusts.
func newTree(dir string, style Style) (*tree, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fault.Op("open", dir, err)
	}
	return &tree{
		root: fd, style: style, who: whoami(), cache: make([]openDir, 0, cachedDirs),
		made: map[string]bool{}, deleted: map[string]bool{}, opaques: map[string]bool{},
	}, nil
}
