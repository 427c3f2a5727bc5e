package under

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// tree makes a directory "root" with links of all kinds, and a file beside it
// that no path may reach.
func tree(t *testing.T) *Root {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "root")
	for _, err := range []error{
		os.WriteFile(filepath.Join(top, "secret"), []byte("outside"), 0o600),
		os.MkdirAll(filepath.Join(dir, "run/lock"), 0o755),
		os.MkdirAll(filepath.Join(dir, "var"), 0o755),
		os.WriteFile(filepath.Join(dir, "run/file"), []byte("inside"), 0o644),
		os.Symlink("/run", filepath.Join(dir, "var/run")),
		os.Symlink("../../../../../run", filepath.Join(dir, "var/up")),
		os.Symlink(filepath.Join(top, "secret"), filepath.Join(dir, "out")),
		os.Symlink("../secret", filepath.Join(dir, "out2")),
		os.Symlink("loop", filepath.Join(dir, "loop")),
		os.Symlink("/opt/app", filepath.Join(dir, "later")),
		os.Symlink("../opt/rel", filepath.Join(dir, "var/later")),
		os.Symlink("/proc/self/root", filepath.Join(dir, "magic")),
		unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestReadFile(t *testing.T) {
	r := tree(t)
	for _, tt := range []struct {
		name, path string
		limit      int64
		want       string
		err        error
	}{
		{"plain", "run/file", 100, "inside", nil},
		{"absolute", "/run/file", 100, "inside", nil},
		{"up and down", "../../run/../run/file", 100, "inside", nil},
		{"absolute link", "var/run/file", 100, "inside", nil},
		{"climbing link", "var/up/file", 100, "inside", nil},
		{"exactly the limit", "run/file", 6, "inside", nil},
		{"above the limit", "run/file", 5, "", fault.TooLarge},
		{"absolute link out", "out", 100, "", syscall.ENOENT},
		{"relative link out", "out2", 100, "", syscall.ENOENT},
		{"loop", "loop", 100, "", syscall.ELOOP},
		{"missing", "run/none", 100, "", syscall.ENOENT},
		{"fifo does not block", "fifo", 100, "", fault.Invalid},
		{"directory", "run", 100, "", fault.Invalid},
		{"root", "", 100, "", fault.Invalid},
		{"NUL", "run\x00", 100, "", syscall.EINVAL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := r.ReadFile(tt.path, tt.limit)
			if string(got) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestStat(t *testing.T) {
	r := tree(t)
	st, err := r.Stat("var/run")
	if err != nil || !st.IsDir() {
		t.Errorf("Stat of a link to a directory: got %v, %v", st, err)
	}
	st, err = r.Lstat("var/run")
	if err != nil || st.Mode().Type() != os.ModeSymlink {
		t.Errorf("Lstat of a link: got %v, %v", st, err)
	}
}

func TestMkdirAll(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		made       string // below the root; "" when an error is wanted
		err        error
	}{
		{"new", "a/b/c", "a/b/c", nil},
		{"there", "run/lock", "run/lock", nil},
		{"root", "/", ".", nil},
		{"through a link", "var/run/x/y", "run/x/y", nil},
		{"dots", "./a/../b//c", "b/c", nil},
		{"above the root", "../../x", "x", nil},
		{"dangling absolute link", "later/sub", "opt/app/sub", nil},
		{"dangling relative link", "var/later/sub", "opt/rel/sub", nil},
		{"link out stays in", "out2/x", "secret/x", nil},
		{"file in the way", "run/file/x", "", syscall.ENOTDIR},
		{"file at the end", "run/file", "", syscall.ENOTDIR},
		{"loop", "loop/x", "", syscall.ELOOP},
		{"long name", strings.Repeat("n", 300), "", syscall.ENAMETOOLONG},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := tree(t)
			err := r.MkdirAll(tt.path, 0o755)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if tt.err == nil {
				if st, err := os.Lstat(filepath.Join(r.dir.Name(), tt.made)); err != nil || !st.IsDir() {
					t.Errorf("%s: %v, %v", tt.made, st, err)
				}
			}
			if data, _ := os.ReadFile(filepath.Join(r.dir.Name(), "../secret")); string(data) != "outside" {
				t.Errorf("the file outside is %q", data)
			}
		})
	}
}

func TestOpenCreate(t *testing.T) {
	r := tree(t)
	f, err := r.Open("var/run/new", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	st, err := os.Stat(filepath.Join(r.dir.Name(), "run/new"))
	if err != nil || st.Mode() != 0o640 {
		t.Errorf("got %v, %v; want mode 0640", st, err)
	}
	if _, err := r.Open("var/run", unix.O_RDONLY|unix.O_NOFOLLOW, 0); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("O_NOFOLLOW on a link: got %v", err)
	}
}

func TestRemove(t *testing.T) {
	r := tree(t)
	gone := func(name string) {
		t.Helper()
		if _, err := r.Lstat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	for _, name := range []string{"out", "var/run/file", "run/lock"} {
		if err := r.Remove(name); err != nil {
			t.Error(err)
		}
		gone(name)
	}
	if err := r.Remove("var"); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("Remove of a full directory: got %v", err)
	}
	if err := r.RemoveAll("var/run"); err != nil { // the link, not /run
		t.Error(err)
	}
	gone("var/run")
	if _, err := r.Stat("run"); err != nil {
		t.Error(err)
	}
	if err := errors.Join(r.RemoveAll("var"), r.RemoveAll("var"), r.RemoveAll("none/at/all")); err != nil {
		t.Error(err)
	}
	gone("var")
	for _, name := range []string{"", "/", "a/.."} {
		if err := r.RemoveAll(name); !errors.Is(err, fault.Invalid) {
			t.Errorf("RemoveAll(%q): got %v", name, err)
		}
	}
}
