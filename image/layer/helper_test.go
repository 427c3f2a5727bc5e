package layer

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ent is one entry of a test's tar; the name decides on file or directory
// unless the type is given.
type ent struct {
	name, link, body string
	kind             byte
	mode             int64
	uid, gid         int
	dev              [2]int64
	pax              map[string]string
	mtime            time.Time
}

func dir(name string) ent        { return ent{name: name, kind: tar.TypeDir, mode: 0o755} }
func file(name, body string) ent { return ent{name: name, body: body, mode: 0o644} }
func symlink(name, to string) ent {
	return ent{name: name, link: to, kind: tar.TypeSymlink, mode: 0o777}
}
func hardlink(name, to string) ent { return ent{name: name, link: to, kind: tar.TypeLink} }
func char(name string, a, b int64) ent {
	return ent{name: name, kind: tar.TypeChar, mode: 0o600, dev: [2]int64{a, b}}
}

func pack(t testing.TB, entries ...ent) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{
			Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: e.mode, Uid: e.uid, Gid: e.gid,
			Size: int64(len(e.body)), Devmajor: e.dev[0], Devminor: e.dev[1], PAXRecords: e.pax, ModTime: e.mtime,
		}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatalf("%q: %v", e.name, err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			t.Fatalf("%q: %v", e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("owners, devices and overlay's attributes need root")
	}
}

// listing describes a tree, one line per name:
//
//	d755 dir · d755! opaque dir · f644 file "text" · l link -> to · c1:3 · w deleted · p fifo
func listing(t testing.TB, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root && !opaqueDir(path) {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		b.WriteString(describe(path) + " " + rel)
		switch d.Type() {
		case 0:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %q", data[:min(len(data), 40)])
		case fs.ModeSymlink:
			to, _ := os.Readlink(path)
			b.WriteString(" -> " + to)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func describe(path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err.Error()
	}
	perm := fmt.Sprintf("%o", st.Mode&0o7777)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if opaqueDir(path) {
			perm += "!"
		}
		return "d" + perm
	case unix.S_IFREG:
		return "f" + perm
	case unix.S_IFLNK:
		return "l"
	case unix.S_IFIFO:
		return "p" + perm
	case unix.S_IFCHR:
		if st.Rdev == 0 {
			return "w"
		}
		return fmt.Sprintf("c%s %d:%d", perm, unix.Major(st.Rdev), unix.Minor(st.Rdev))
	default:
		return fmt.Sprintf("?%o", st.Mode)
	}
}

func opaqueDir(path string) bool { return xattr(path, opaqueXattr) == "y" }

func xattr(path, name string) string {
	buf := make([]byte, 256)
	n, err := unix.Lgetxattr(path, name, buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

// lines joins what listing should give.
func lines(want ...string) string {
	if len(want) == 0 {
		return ""
	}
	return strings.Join(want, "\n") + "\n"
}

// arena is a directory to unpack into with neighbours that must not change.
func arena(t testing.TB) (root string, check func()) {
	t.Helper()
	top := t.TempDir()
	root = filepath.Join(top, "root")
	for _, err := range []error{
		os.Mkdir(root, 0o755),
		os.Mkdir(filepath.Join(top, "outside"), 0o755),
		os.WriteFile(filepath.Join(top, "outside/secret"), []byte("secret"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	look := func() string {
		return listing(t, filepath.Join(top, "outside")) + describe(top) + fmt.Sprint(os.ReadDir(top)) + times(top+"/outside/secret")
	}
	before := look()
	return root, func() {
		t.Helper()
		if after := look(); after != before {
			t.Errorf("outside changed:\n%s\nbefore:\n%s", after, before)
		}
	}
}

func times(path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err.Error()
	}
	return fmt.Sprint(st.Mtim, st.Ctim, st.Nlink)
}
