package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func TestScatter(t *testing.T) {
	dir := t.TempDir()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type != unix.EXT4_SUPER_MAGIC {
		t.Skip("the directory for temporary files is not on ext4")
	}
	Scatter(dir)
	fd, err := unix.Open(dir, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS); err != nil || flags&0x20000 == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
	Scatter(filepath.Join(dir, "missing")) // a hint: nothing happens
}

// Whatever the file system: with places and without them a directory is made
// as mkdir would.
func TestMkdirSpread(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(dir string)
	}{
		{"no places", func(string) {}},
		{"places", makePlaces},
		{"one that died left a directory in each", func(dir string) {
			makePlaces(dir)
			for i := range places {
				if err := os.Mkdir(place(dir, i)+"/new", 0o700); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"places that are only begun", func(dir string) {
			if err := os.Mkdir(filepath.Join(dir, Places), 0o700); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.prepare(dir)
			for i := range 2 * places {
				path := filepath.Join(dir, fmt.Sprint("c", i))
				if err := MkdirSpread(path); err != nil {
					t.Fatal(err)
				}
				if st, err := os.Lstat(path); err != nil || st.Mode() != fs.ModeDir|0o700 {
					t.Fatalf("%s: %v, %v", path, st, err)
				}
				var pe *fs.PathError
				if err := MkdirSpread(path); !errors.Is(err, fs.ErrExist) || !errors.As(err, &pe) || pe.Path != path {
					t.Fatalf("made twice: %v", err)
				}
			}
		})
	}
}

func TestMkdirSpreadBad(t *testing.T) {
	if err := MkdirSpread(filepath.Join(t.TempDir(), "a/b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no parent: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MkdirSpread(file + "/c"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
}

// Places are for ext4 without a journal alone.
func TestSpread(t *testing.T) {
	was := t.TempDir()
	dir := filepath.Join(was, "a/b")
	for range 2 {
		if err := Spread(dir); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || (len(entries) > 0) != unjournaled("/sys", dir) {
		t.Errorf("%v, %v; without a journal: %v", entries, err, unjournaled("/sys", dir))
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if st, err := os.Lstat(d); err != nil || st.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s: %v, %v", d, st, err)
		}
	}
	if err := Spread(was); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(was); err != nil || len(entries) != 1 {
		t.Errorf("one that was there already: %v, %v", entries, err)
	}
	file := filepath.Join(was, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Spread(file); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a file: %v", err)
	}
}

// Many at once share what lies in the places, and everyone gets one of his own.
func TestMkdirSpreadAtOnce(t *testing.T) {
	dir := t.TempDir()
	makePlaces(dir)
	var wg sync.WaitGroup
	var won atomic.Int32
	for i := range 200 {
		wg.Go(func() {
			if err := MkdirSpread(filepath.Join(dir, fmt.Sprint("c", i))); err != nil {
				t.Error(err)
			}
			err := MkdirSpread(filepath.Join(dir, "same"))
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d made the same directory", won.Load())
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 200+2 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

func TestUnjournaled(t *testing.T) {
	dir := t.TempDir()
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, task string
		want       bool
	}{
		{"without a journal", "<none>\n", true},
		{"with one", "243\n", false},
		{"another file system", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sysfs := t.TempDir()
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(os.MkdirAll(filepath.Join(sysfs, "dev/block"), 0o755))
			must(os.Symlink("../../devices/virtio1/block/vdx", fmt.Sprintf("%s/dev/block/%d:%d", sysfs, unix.Major(st.Dev), unix.Minor(st.Dev))))
			if tt.task != "" {
				must(os.MkdirAll(filepath.Join(sysfs, "fs/ext4/vdx"), 0o755))
				must(os.WriteFile(filepath.Join(sysfs, "fs/ext4/vdx/journal_task"), []byte(tt.task), 0o644))
			}
			if got := unjournaled(sysfs, dir); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if unjournaled(t.TempDir(), dir) {
		t.Error("a sysfs that does not know the device")
	}
}
