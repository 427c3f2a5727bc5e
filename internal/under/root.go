package under

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// maxLinks is the kernel's own limit of links in one resolution.
const maxLinks = 40

// Root is a directory that paths are resolved in. It is safe for concurrent
// use until it is closed.
type Root struct{ dir *os.File }

// OpenRoot opens dir, which the caller trusts, as a Root.
func OpenRoot(dir string) (*Root, error) {
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &Root{f}, nil
}

// RootAt takes over an O_PATH descriptor of a directory as a Root.
func RootAt(dir *os.File) *Root { return &Root{dir} }

// Close gives the directory back.
func (r *Root) Close() error { return r.dir.Close() }

// Fd is the root's own O_PATH descriptor, valid until Close.
func (r *Root) Fd() int { return int(r.dir.Fd()) }

// Open opens a path in the root. Flags are those of open(2); O_NOFOLLOW leaves
// a link at the end unresolved, links before it are always followed.
func (r *Root) Open(name string, flags int, perm fs.FileMode) (*os.File, error) {
	fd, err := OpenAt(r.Fd(), local(name), flags, uint32(perm.Perm()), InRoot)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// ReadFile returns a regular file of at most limit bytes. It never blocks on a
// FIFO or a device that an image put in the file's place.
func (r *Root) ReadFile(name string, limit int64) ([]byte, error) {
	f, err := r.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "read %s: not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fault.New(fault.TooLarge, "read %s: larger than %d bytes", name, limit)
	}
	return data, nil
}

// Stat describes what name leads to, links followed in the root.
func (r *Root) Stat(name string) (fs.FileInfo, error) { return r.stat(name, 0) }

// Lstat describes name itself, even when it is a link.
func (r *Root) Lstat(name string) (fs.FileInfo, error) { return r.stat(name, unix.O_NOFOLLOW) }

func (r *Root) stat(name string, flags int) (fs.FileInfo, error) {
	f, err := r.Open(name, unix.O_PATH|flags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// MkdirAll makes name and its missing parents with perm, less the umask. Links
// on the way are followed in the root; where one leads to nothing, what it
// names is made. An existing directory is left as it is.
func (r *Root) MkdirAll(name string, perm fs.FileMode) error {
	rest := local(path.Clean("/" + name))
	for links := 0; links < maxLinks; links++ {
		target, err := r.mkdirAll(rest, uint32(perm.Perm()))
		if err != nil {
			return &fs.PathError{Op: "mkdir", Path: name, Err: err}
		}
		if target == "" {
			return nil
		}
		rest = target
	}
	return &fs.PathError{Op: "mkdir", Path: name, Err: unix.ELOOP}
}

// mkdirAll makes the missing end of name. When that end starts with a dangling
// link it returns the path to make instead.
func (r *Root) mkdirAll(name string, perm uint32) (instead string, err error) {
	fd, done, missing, err := r.deepest(name)
	if err != nil {
		return "", err
	}
	defer func() { unix.Close(fd) }()
	for i, c := range missing {
		if c == ".." { // of a link's target: nothing is there to go up from
			return "", unix.ENOENT
		}
		err := unix.Mkdirat(fd, c, perm)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return "", err
		}
		next, oerr := OpenAt(fd, c, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0, Beneath)
		if oerr != nil {
			if i > 0 || err == nil {
				return "", oerr
			}
			return dangling(fd, c, done, missing[1:], oerr)
		}
		unix.Close(fd)
		fd = next
	}
	return "", nil
}

// dangling returns the path that results from putting the target of link c,
// found in fd = done, in front of rest.
func dangling(fd int, c, done string, rest []string, cause error) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, c, buf)
	if err != nil || n == 0 {
		return "", cause
	}
	target := string(buf[:n])
	if !strings.HasPrefix(target, "/") {
		target = done + "/" + target
	}
	return local(strings.Join(append([]string{target}, rest...), "/")), nil
}

// deepest opens the longest existing directory at the start of name and
// returns its path and the components after it.
func (r *Root) deepest(name string) (fd int, done string, missing []string, err error) {
	var parts []string
	for c := range strings.SplitSeq(name, "/") {
		if c != "" && c != "." {
			parts = append(parts, c)
		}
	}
	for n := len(parts); ; n-- {
		done := strings.Join(parts[:n], "/")
		fd, err := OpenAt(r.Fd(), local(done), unix.O_PATH|unix.O_DIRECTORY, 0, InRoot)
		if err == nil {
			return fd, done, parts[n:], nil
		}
		if n == 0 || !errors.Is(err, unix.ENOENT) {
			return -1, "", nil, err
		}
	}
}

// Remove removes the file, link or empty directory name. The last component is
// not followed.
func (r *Root) Remove(name string) error {
	fd, base, err := r.parent(name)
	if err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	defer unix.Close(fd)
	err = unix.Unlinkat(fd, base, 0)
	if errors.Is(err, unix.EISDIR) {
		err = unix.Unlinkat(fd, base, unix.AT_REMOVEDIR)
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	return nil
}

// RemoveAll removes name and, if it is a directory, all below it, under the
// rules of RemoveTree. The last component is not followed.
func (r *Root) RemoveAll(name string) error {
	fd, base, err := r.parent(name)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err == nil {
		defer unix.Close(fd)
		err = RemoveAt(fd, base)
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	return nil
}

// parent opens the directory that holds the last component of name.
func (r *Root) parent(name string) (fd int, base string, err error) {
	clean := path.Clean("/" + name)
	dir, base := path.Split(clean)
	if base == "" {
		return -1, "", fault.New(fault.Invalid, "is the root itself")
	}
	fd, err = OpenAt(r.Fd(), local(dir), unix.O_PATH|unix.O_DIRECTORY, 0, InRoot)
	return fd, base, err
}

// local makes a path relative and never empty, as openat2 wants it.
func local(name string) string {
	name = strings.TrimLeft(name, "/")
	if name == "" {
		return "."
	}
	return name
}
