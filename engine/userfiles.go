package engine

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/internal/under"
)

// maxUserFile bounds /etc/passwd and /etc/group of an image, in bytes.
const maxUserFile = 1 << 20

// tree is a root file system that is looked into without being mounted: the
// directories of an overlay, topmost first, or one directory.
type tree []*under.Root

// openTree opens what root file system mounts are made of. Without mounts it
// is the directory dir.
func openTree(mounts []mount.Mount, dir string) (tree, error) {
	dirs := []string{dir}
	if len(mounts) > 0 {
		dirs = layerDirs(mounts[0])
	}
	var t tree
	for _, d := range dirs {
		r, err := under.OpenRoot(d)
		if err != nil {
			t.close()
			return nil, err
		}
		t = append(t, r)
	}
	return t, nil
}

func (t tree) close() {
	for _, r := range t {
		r.Close()
	}
}

// layerDirs lists an overlay's directories, upper first; of another mount it
// is the source.
func layerDirs(m mount.Mount) []string {
	if m.Type != "overlay" {
		return []string{m.Source}
	}
	var upper, lower []string
	for _, o := range m.Options {
		switch k, v, _ := strings.Cut(o, "="); k {
		case "upperdir":
			upper = []string{unescape(v)}
		case "lowerdir":
			lower = append(lower, splitLower(v)...)
		case "lowerdir+":
			lower = append(lower, v)
		}
	}
	return append(upper, lower...)
}

// splitLower splits at the colons that have no backslash before them.
func splitLower(s string) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ':':
			out = append(out, unescape(s[start:i]))
			start = i + 1
		}
	}
	return append(out, unescape(s[start:]))
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// readFile returns a regular file as the merged tree shows it: whiteouts,
// opaque directories and links respected, nothing outside ever opened. A
// missing one is fs.ErrNotExist.
func (t tree) readFile(name string, limit int64) ([]byte, error) {
	if len(t) == 1 {
		return t[0].ReadFile(name, limit)
	}
	done, rest := "", path.Clean("/" + name)[1:]
	seen := t
	for links := 0; rest != ""; {
		comp, tail, _ := strings.Cut(rest, "/")
		at := path.Join(done, comp)
		if comp == ".." || comp == "" || comp == "." { // of a link's target
			return t.readFile(path.Join("/", done, rest), limit)
		}
		kind, in, err := seen.look(at)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		switch {
		case kind.IsDir():
			done, rest, seen = at, tail, in
			continue
		case kind&fs.ModeSymlink != 0:
			if links++; links > 40 {
				return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ELOOP}
			}
			target, err := readlink(in[0], at)
			if err != nil {
				return nil, err
			}
			if !path.IsAbs(target) {
				target = path.Join("/", done, target)
			}
			done, rest, seen = "", path.Join(target, tail)[1:], t
			continue
		case tail != "":
			return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOTDIR}
		}
		return in[0].ReadFile(at, limit)
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
}

// look finds name in the layers that may show it. For a directory it returns
// every layer that adds to it.
func (t tree) look(name string) (kind fs.FileMode, in tree, err error) {
	for _, layer := range t {
		st, err := layer.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		if whiteout(st) {
			break
		}
		if !st.IsDir() {
			if len(in) == 0 {
				return st.Mode().Type(), tree{layer}, nil
			}
			break // a directory above hides it
		}
		kind, in = fs.ModeDir, append(in, layer)
		if opaque(layer, name) {
			break
		}
	}
	if len(in) == 0 {
		return 0, nil, syscall.ENOENT
	}
	return kind, in, nil
}

func readlink(layer *under.Root, name string) (string, error) {
	f, err := layer.Open(name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", buf)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(buf[:n]), nil
}

func whiteout(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && st.Mode()&fs.ModeCharDevice != 0 && sys.Rdev == 0
}

func opaque(layer *under.Root, name string) bool {
	f, err := layer.Open(name, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	var v [8]byte
	n, err := syscall.Getxattr("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), "trusted.overlay.opaque", v[:])
	return err == nil && n == 1 && v[0] == 'y'
}

// userFiles gives /etc/passwd and /etc/group of a tree; missing ones are empty.
func (t tree) userFiles() (passwd, group io.Reader, err error) {
	read := func(name string) (io.Reader, error) {
		data, err := t.readFile(name, maxUserFile)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return bytes.NewReader(nil), nil
		}
		if err != nil {
			return nil, fault.Op("look up the user", name, err)
		}
		return bytes.NewReader(data), nil
	}
	if passwd, err = read("/etc/passwd"); err != nil {
		return nil, nil, err
	}
	group, err = read("/etc/group")
	return passwd, group, err
}
