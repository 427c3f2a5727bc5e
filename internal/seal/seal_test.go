package seal

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-engine/berth/internal/fault"
)

// TestMain lets the test binary be the program that is sealed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "am-i-sealed":
			report()
		case "seal-and-exec":
			if ok, err := IsSealed(); err == nil && !ok {
				err := Exec([]string{"x", "am-i-sealed"}, nil)
				os.Stdout.WriteString(err.Error())
				os.Exit(1)
			}
			report()
		}
	}
	os.Exit(m.Run())
}

// report says whether this process is sealed, and that it cannot write itself.
func report() {
	ok, err := IsSealed()
	if err != nil {
		os.Stdout.WriteString(err.Error())
		os.Exit(1)
	}
	if ok {
		os.Stdout.WriteString("sealed")
	} else {
		os.Stdout.WriteString("open")
	}
	for _, flags := range []int{os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC} {
		f, err := os.OpenFile(self, flags, 0)
		if err == nil {
			f.Close()
			os.Stdout.WriteString(" writable")
		}
	}
	os.Exit(0)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts")
	}
}

// program is a copy of the test binary in a directory of its own.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dir:with\\odd,name", "program")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	src, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(dst, src); err != nil {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func run(t *testing.T, path, word string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), path, word).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", path, err, out)
	}
	return string(out)
}

func TestEachWay(t *testing.T) {
	needRoot(t)
	path := program(t)
	for _, w := range []way{{Overlay, overlay}, {Bind, bind}, {Memfd, memfd}} {
		t.Run(string(w.method), func(t *testing.T) {
			f, err := w.open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if f.Fd() < minFD {
				t.Errorf("handle %d may be overwritten by a child's stdio", f.Fd())
			}
			if got := run(t, Path(f), "am-i-sealed"); got != "sealed" && !(w.method == Memfd && got == "sealed writable writable writable") {
				t.Errorf("run from the handle: %q", got)
			}
		})
	}
}

// A memfd can be opened for writing; what counts is that no write succeeds.
func TestMemfdRefusesBytes(t *testing.T) {
	f, err := memfd(program(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := os.OpenFile(Path(f), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer w.Close()
	if _, err := w.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.EPERM) {
		t.Errorf("write: %v", err)
	}
	if err := w.Truncate(0); !errors.Is(err, syscall.EPERM) {
		t.Errorf("truncate: %v", err)
	}
}

func TestOpen(t *testing.T) {
	needRoot(t)
	path := program(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	f, method, err := Open(link)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	t.Logf("sealed by %s", method)
	if got := run(t, Path(f), "am-i-sealed"); !strings.HasPrefix(got, "sealed") {
		t.Errorf("run: %q", got)
	}
	if got := run(t, path, "am-i-sealed"); !strings.HasPrefix(got, "open") {
		t.Errorf("run of the plain file: %q", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.WriteFile(data, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(filepath.Join(dir, "none")); !errors.Is(err, fault.NotFound) {
		t.Errorf("missing file: %v", err)
	}
	needRoot(t)
	for _, w := range []way{{Overlay, overlay}, {Bind, bind}} {
		if f, err := w.open(data); !errors.Is(err, syscall.EACCES) {
			t.Errorf("%s of a file that is no program: %v, %v", w.method, f, err)
		}
	}
}

// Each way that does not work is followed by the next one; the last error
// names them all.
func TestFallback(t *testing.T) {
	no := func(string) (*os.File, error) { return nil, syscall.EPERM }
	yes := func(string) (*os.File, error) { return os.Open(os.DevNull) }
	for n := range 3 {
		ways := []way{{Overlay, no}, {Bind, no}, {Memfd, no}}
		ways[n].open = yes
		f, method, err := first("x", ways)
		if err != nil || method != ways[n].method {
			t.Errorf("way %d: %s, %v", n, method, err)
			continue
		}
		f.Close()
	}
	_, _, err := first("x", []way{{Overlay, no}, {Bind, no}})
	if !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "overlay") || !strings.Contains(err.Error(), "bind") {
		t.Errorf("error %v", err)
	}
}

func TestExecSealsOnce(t *testing.T) {
	needRoot(t)
	if got := run(t, program(t), "seal-and-exec"); !strings.HasPrefix(got, "sealed") {
		t.Errorf("got %q", got)
	}
}

func TestStranger(t *testing.T) {
	for _, dir := range []string{"/", "/srv", "/srv/a/b", "/usr/bin", "/etc"} {
		got, err := stranger(dir)
		if dir == "/" {
			if err == nil {
				t.Errorf("%s: got %s, which lies below it", dir, got)
			}
			continue
		}
		if err != nil || below(got, dir) || below(dir, got) {
			t.Errorf("%s: %q, %v", dir, got, err)
		}
	}
}

// Sealing leaves no mount in the namespace and no descriptor behind.
func TestLeavesNothing(t *testing.T) {
	needRoot(t)
	path := program(t)
	mounts, fds := count(t, "/proc/self/mountinfo"), open(t)
	for range 20 {
		f, _, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if got := count(t, "/proc/self/mountinfo"); got != mounts {
		t.Errorf("%d mounts, were %d", got, mounts)
	}
	if got := open(t); got != fds {
		t.Errorf("%d descriptors, were %d", got, fds)
	}
}

func count(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func open(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func BenchmarkOpen(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root: mounts")
	}
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for _, w := range []way{{Overlay, overlay}, {Bind, bind}} {
		b.Run(string(w.method), func(b *testing.B) {
			// Handles are kept, as the running monitor keeps its own: taking the
			// mount down is not part of a start.
			var kept []*os.File
			for b.Loop() {
				f, err := w.open(exe)
				if err != nil {
					b.Fatal(err)
				}
				kept = append(kept, f)
			}
			for _, f := range kept {
				f.Close()
			}
		})
	}
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if _, err := IsSealed(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
