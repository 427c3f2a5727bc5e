package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-engine/berth/internal/fault"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestWrite(t *testing.T) {
	for name, write := range map[string]func(string, []byte, fs.FileMode) error{"plain": Write, "durable": WriteDurable} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			for _, text := range []string{"one", "", "three"} {
				if err := write(path, []byte(text), 0o640); err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(path)
				if err != nil || string(got) != text {
					t.Errorf("got %q, %v, want %q", got, err, text)
				}
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if l := names(t, dir); len(l) != 1 {
				t.Errorf("directory has %v", l)
			}
		})
	}
}

// A link at the target is replaced, never written through.
func TestWriteOverLink(t *testing.T) {
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "f")
	if err := os.WriteFile(victim, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(victim); string(got) != "keep" {
		t.Errorf("the link's target is now %q", got)
	}
}

func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	if err := Write(filepath.Join(dir, "none", "f"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	// The rename fails: a directory cannot be replaced by a file.
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "d"), []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	if err := WriteJSON(filepath.Join(dir, "j"), func() {}, 0o600, false); err == nil {
		t.Error("a function was encoded")
	}
	if l := names(t, dir); len(l) != 1 {
		t.Errorf("left behind: %v", l)
	}
}

// A full disk: the old content stays, the temporary file goes.
func TestWriteFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a tmpfs")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("mount tmpfs:", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	path := filepath.Join(dir, "f")
	if err := Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want no space", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "old" {
		t.Errorf("content is now %d bytes", len(got))
	}
	if l := names(t, dir); len(l) != 1 {
		t.Errorf("left behind: %v", l)
	}
}

// Readers see one of the contents written, whole, while writers race.
func TestWriteConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	text := func(n int) []byte { return bytes.Repeat([]byte{byte('a' + n)}, 10000) }
	if err := Write(path, text(0), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := os.ReadFile(path)
				if err != nil || len(got) != 10000 || bytes.Count(got, got[:1]) != 10000 {
					t.Errorf("read %d bytes, %v", len(got), err)
					return
				}
			}
		})
	}
	var writers sync.WaitGroup
	for n := range 4 {
		writers.Go(func() {
			for range 50 {
				if err := Write(path, text(n), 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	wg.Wait()
	if l := names(t, filepath.Dir(path)); len(l) != 1 {
		t.Errorf("left behind: %v", l)
	}
}

func TestReadJSON(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	type record struct{ A string }
	var got record
	if err := ReadJSON(path, &got); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	for _, size := range []int{0, 1, 4095, 8190, 8191, 8192, 8193, 100000} {
		want := record{strings.Repeat("x", size)}
		if err := WriteJSON(path, want, 0o600, false); err != nil {
			t.Fatal(err)
		}
		if err := ReadJSON(path, &got); err != nil || got != want {
			t.Errorf("size %d: %d, %v", size, len(got.A), err)
		}
	}
	for _, text := range []string{"", "{", "{}x", "nul", "\xff"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := ReadJSON(path, &got)
		if !errors.Is(err, fault.Damaged) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, want damaged and the path", text, err)
		}
	}
	if err := ReadJSON(dir, &got); err == nil || errors.Is(err, fault.Damaged) {
		t.Errorf("directory: %v", err)
	}
	if err := os.Truncate(path, MaxJSON+1); err != nil {
		t.Fatal(err)
	}
	if err := ReadJSON(path, &got); !errors.Is(err, fault.TooLarge) {
		t.Errorf("large: %v", err)
	}
}

// A FIFO in the place of a record must not hang us.
func TestReadJSONFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip("mkfifo:", err)
	}
	if err := ReadJSON(path, new(int)); !errors.Is(err, fault.Damaged) {
		t.Errorf("got %v, want damaged", err)
	}
}

func TestReadInto(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var buf []byte
	for n := range 3 {
		text := strings.Repeat("x", 9000-n)
		if err := Write(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if buf, err = ReadInto(buf, path); err != nil || string(buf) != text {
			t.Fatalf("%d bytes, %v", len(buf), err)
		}
	}
	if allocs := testing.AllocsPerRun(10, func() { buf, _ = ReadInto(buf, path) }); allocs > 4 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestAcquire(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Acquire(path, true)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *Lock)
	go func() {
		l, err := Acquire(path, true)
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	waitForWaiter(t, path) // so it was not locked twice
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case l := <-got:
		l.Close()
	case <-time.After(5 * time.Second):
		t.Fatal("the lock is not released by Close")
	}
	a, err1 := Acquire(path, false)
	b, err2 := Acquire(path, false)
	if err1 != nil || err2 != nil {
		t.Fatal("two readers:", err1, err2)
	}
	a.Close()
	b.Close()
	if _, err := Acquire(filepath.Join(path, "x"), true); err == nil {
		t.Error("a lock below a file")
	}
}

func TestLockDir(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "d")
	if _, err := LockDir(dir, Exclusive); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := LockDir(dir, Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []How{NoWait, Exclusive | NoWait} {
		if _, err := LockDir(dir, how); !errors.Is(err, fault.Conflict) {
			t.Errorf("how %d: %v, want a conflict", how, err)
		}
	}
	l.Close()
	a, err1 := LockDir(dir, NoWait)
	b, err2 := LockDir(dir, 0)
	if err1 != nil || err2 != nil {
		t.Fatal("two readers:", err1, err2)
	}
	if _, err := LockDir(dir, Exclusive|NoWait); !errors.Is(err, fault.Conflict) {
		t.Errorf("beside readers: %v", err)
	}
	a.Close()
	b.Close()
	if err := os.Symlink(dir, filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := LockDir(filepath.Join(root, "link"), 0); err == nil {
		t.Error("locked through a link")
	}
}

// Who waits for a directory that is removed meanwhile is told so.
func TestLockDirRemoved(t *testing.T) {
	for _, again := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "d")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := LockDir(dir, Exclusive)
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan error, 1)
		go func() {
			l, err := LockDir(dir, Exclusive)
			if err == nil {
				l.Close()
			}
			got <- err
		}()
		waitForWaiter(t, dir)
		if err := os.Rename(dir, dir+".gone"); err != nil {
			t.Fatal(err)
		}
		if again {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		l.Close()
		if err := <-got; !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("again %v: got %v, want not exist", again, err)
		}
	}
}

// waitForWaiter returns when /proc/locks shows somebody blocked on path.
func waitForWaiter(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	inode := fmt.Sprintf(":%d ", info.Sys().(*syscall.Stat_t).Ino)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Skip("no /proc/locks:", err)
		}
		for _, line := range strings.Split(string(locks), "\n") {
			if strings.Contains(line, "->") && strings.Contains(line, inode) {
				return
			}
		}
	}
	t.Fatal("nobody waits")
}

func FuzzReadJSON(f *testing.F) {
	for _, s := range []string{"", "{}", `{"A":"b","C":[1,2.5,null]}`, "{", strings.Repeat("[", 20000)} {
		f.Add([]byte(s))
	}
	path := filepath.Join(f.TempDir(), "f")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		var a, b any
		err := ReadJSON(path, &a)
		if ok := json.Unmarshal(data, &b) == nil; ok != (err == nil) {
			t.Fatalf("got %v, valid is %v", err, ok)
		}
		if err != nil && !errors.Is(err, fault.Damaged) {
			t.Errorf("got %v, want damaged", err)
		}
	})
}

// Errors speak of the file that was wanted, not of the one beside it.
func TestWriteNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "file")
	if err := Write(path, nil, 0o600); err == nil || err.Error() != "create "+path+": no such file or directory" {
		t.Errorf("%v", err)
	}
}
