package ledger

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestDiffCountsEqualLines(t *testing.T) {
	got := Diff(Snapshot{"fd pipe", "mount /a"}, Snapshot{"fd pipe", "fd pipe", "mount /b"})
	want := []string{"fd pipe", "mount /b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// left runs do between two snapshots and returns the new lines with the
// test's own directory cut out.
func left(t *testing.T, s Scope, do func()) []string {
	t.Helper()
	before := Take(s)
	do()
	return Diff(before, Take(s))
}

func TestFindsAFile(t *testing.T) {
	dir := t.TempDir()
	got := left(t, Scope{Dirs: []string{dir}}, func() {
		if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if want := []string{"file " + dir + "/x ----------"}; !cmp.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFindsADescriptor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "open")
	got := left(t, Scope{}, func() {
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
	})
	if want := []string{"fd " + file}; !cmp.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFindsAChild(t *testing.T) {
	got := left(t, Scope{Shared: false}, func() { start(t, "sleep", "60") })
	if len(got) == 0 || !strings.HasSuffix(got[len(got)-1], " sleep running sleep 60") {
		t.Errorf("got %q", got)
	}
}

func TestFindsAMarkedProcess(t *testing.T) {
	got := left(t, Scope{Shared: true, Marks: []string{"61.25123"}}, func() { start(t, "sleep", "61.25123") })
	if len(got) != 1 || !strings.HasSuffix(got[0], " sleep 61.25123") {
		t.Errorf("got %q", got)
	}
}

// start leaves only when the program itself runs: between fork and exec a
// child shows our own command line.
func start(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

func TestFindsAMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := t.TempDir()
	s := Scope{Marks: []string{dir}, Shared: true}
	got := left(t, s, func() {
		if err := unix.Mount("ledger", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(dir, 0) })
	})
	if want := []string{"mount " + dir + " (tmpfs /)"}; !cmp.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFindsAGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a cgroup")
	}
	var parent string
	mountLines("/proc/self/mountinfo", func(place, source []string) {
		if strings.HasPrefix(source[0], "cgroup") {
			parent = place[mountTarget]
		}
	})
	if parent == "" {
		t.Skip("no cgroup hierarchy is mounted")
	}
	name := "berth-ledger-" + strconv.Itoa(os.Getpid())
	group := filepath.Join(parent, name)
	got := left(t, Scope{Marks: []string{name}, Shared: true}, func() {
		if err := os.Mkdir(group, 0o755); err != nil {
			t.Skipf("cannot make a cgroup: %v", err)
		}
		t.Cleanup(func() { os.Remove(group) })
	})
	if want := []string{"cgroup " + group}; !cmp.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestIgnoresWhatIsNotMarked(t *testing.T) {
	got := left(t, Scope{Marks: []string{"no-such-mark"}, Shared: true}, func() { start(t, "sleep", "62.1") })
	if len(got) != 0 {
		t.Errorf("got %q", got)
	}
}
