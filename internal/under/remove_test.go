package under

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/kernel"
)

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestRemoveTree(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(dir string) error
	}{
		{"missing", func(string) error { return nil }},
		{"file", func(d string) error { return os.WriteFile(d, nil, 0o600) }},
		{"empty", func(d string) error { return os.Mkdir(d, 0o700) }},
		{"link", func(d string) error { return os.Symlink("..", d) }},
		{"closed directories", func(d string) error {
			return errors.Join(os.MkdirAll(d+"/a/b", 0o700), os.Chmod(d+"/a/b", 0), os.Chmod(d+"/a", 0))
		}},
		{"wide", func(d string) error {
			err := os.Mkdir(d, 0o700)
			for i := 0; i < 5000 && err == nil; i++ { // several buffers of getdents
				err = os.WriteFile(fmt.Sprintf("%s/a-rather-long-name-%d", d, i), nil, 0o600)
			}
			return err
		}},
		{"bushy", func(d string) (err error) {
			for i := range 8 {
				for j := range 8 {
					err = errors.Join(err, os.MkdirAll(fmt.Sprintf("%s/%d/%d/x", d, i, j), 0o700))
				}
			}
			return err
		}},
		{"special files", func(d string) error {
			return errors.Join(os.Mkdir(d, 0o700), unix.Mkfifo(d+"/fifo", 0o600), os.Symlink("/", d+"/root"), os.Symlink("x", d+"/x"))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "closed directories" && os.Geteuid() != 0 {
				t.Skip("reading a directory of mode 0 needs root")
			}
			dir := filepath.Join(t.TempDir(), "tree")
			if err := tt.make(dir); err != nil {
				t.Fatal(err)
			}
			if err := RemoveTree(dir); err != nil || exists(dir) {
				t.Errorf("got %v, still there: %v", err, exists(dir))
			}
		})
	}
}

// A container may nest deeper than any path and than we have descriptors.
func TestRemoveTreeDeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	for depth := 0; depth < 3000 && err == nil; depth++ {
		name := strings.Repeat("d", 20)
		if depth == 100 { // the names that the walk uses itself
			err = unix.Mkdirat(fd, "berth-deep-1", 0o700)
		}
		err = errors.Join(err, unix.Mkdirat(fd, name, 0o700), unix.Mkdirat(fd, "leaf", 0o700))
		next, oerr := unix.Openat(fd, name, unix.O_PATH|unix.O_DIRECTORY, 0)
		unix.Close(fd)
		fd, err = next, errors.Join(err, oerr)
	}
	unix.Close(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := RemoveTree(dir); err != nil || exists(dir) {
		t.Errorf("got %v, still there: %v", err, exists(dir))
	}
}

func TestRemoveTreeLinks(t *testing.T) {
	top := t.TempDir()
	keep := filepath.Join(top, "keep/file")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(top, "keep"), 0o700),
		os.WriteFile(keep, nil, 0o600),
		os.MkdirAll(filepath.Join(top, "tree/a"), 0o700),
		os.Symlink("../../keep", filepath.Join(top, "tree/a/link")),
		os.Link(keep, filepath.Join(top, "tree/a/hard")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveTree(filepath.Join(top, "tree")); err != nil || !exists(keep) {
		t.Errorf("got %v, the file outside is there: %v", err, exists(keep))
	}
}

func TestRemoveTreeMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	top := t.TempDir()
	keep := filepath.Join(top, "host/file")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(top, "host"), 0o700),
		os.WriteFile(keep, nil, 0o600),
		os.MkdirAll(filepath.Join(top, "tree/a/point"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	err := kernel.OwnMounts(func() error {
		if err := unix.Mount(filepath.Join(top, "host"), filepath.Join(top, "tree/a/point"), "", unix.MS_BIND, ""); err != nil {
			return err
		}
		err := RemoveTree(filepath.Join(top, "tree"))
		return errors.Join(err, RemoveTree(filepath.Join(top, "tree/a/point")))
	})
	if !errors.Is(err, syscall.EBUSY) || !strings.Contains(err.Error(), "point is a mount point") {
		t.Errorf("got %v, want EBUSY that names the mount point", err)
	}
	if !exists(keep) {
		t.Error("the mounted file is gone")
	}
}

func TestRemoveTreeFrozen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	if err := os.MkdirAll(dir+"/sub", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/sub/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/sub/file", "/sub"} {
		f, err := os.Open(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, frozen&^0x20); err != nil {
			t.Skipf("cannot make files immutable here: %v", err)
		}
	}
	if err := RemoveTree(dir); err != nil || exists(dir) {
		t.Errorf("got %v, still there: %v", err, exists(dir))
	}
}

func TestRemoveAtBadName(t *testing.T) {
	for _, name := range []string{"", ".", "..", "/"} {
		if err := RemoveAt(unix.AT_FDCWD, name); err == nil {
			t.Errorf("RemoveAt(%q): no error", name)
		}
	}
}

func FuzzEntries(f *testing.F) {
	dir, err := os.Open("/")
	if err != nil {
		f.Fatal(err)
	}
	defer dir.Close()
	buf := make([]byte, 4096)
	n, err := unix.Getdents(int(dir.Fd()), buf)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(buf[:n])
	f.Add(buf[:n/2])
	f.Fuzz(func(t *testing.T, buf []byte) {
		total := 0
		for name := range entries(buf) {
			total += len(name) + direntName
		}
		if total > len(buf) {
			t.Errorf("names of %d bytes out of %d", total, len(buf))
		}
	})
}

func BenchmarkRemoveTree(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "tree")
	for b.Loop() {
		b.StopTimer()
		for i := range 20 {
			sub := fmt.Sprintf("%s/%d", dir, i)
			if err := os.MkdirAll(sub, 0o700); err != nil {
				b.Fatal(err)
			}
			for j := range 50 {
				if err := os.WriteFile(fmt.Sprintf("%s/%d", sub, j), nil, 0o600); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.StartTimer()
		if err := RemoveTree(dir); err != nil {
			b.Fatal(err)
		}
	}
}
