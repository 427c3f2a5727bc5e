package snapshot_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/snapshot"
	"github.com/berth-engine/berth/snapshot/overlay"
)

func open(t *testing.T, root string) *snapshot.Store {
	t.Helper()
	d, err := overlay.New(root)
	if err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Open(root, d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// layer commits name with one file in it.
func layer(t *testing.T, s *snapshot.Store, name, parent snapshot.Name) {
	t.Helper()
	must(t, stage(t, s, name, parent).Commit())
}

func stage(t *testing.T, s *snapshot.Store, name, parent snapshot.Name) *snapshot.Stage {
	t.Helper()
	st, err := s.Stage(name, parent)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(st.Dir(), "file"), []byte(name), 0o600))
	return st
}

func TestOpenTouchesNothing(t *testing.T) {
	root := filepath.Join(t.TempDir(), "none")
	s := open(t, root)
	if s.Exists("a") || !s.Exists(snapshot.Host) {
		t.Error("Exists: want host only")
	}
	names, err1 := s.Names()
	keys, err2 := s.Keys()
	if len(names)+len(keys) > 0 || err1 != nil || err2 != nil {
		t.Errorf("got %v, %v, %v, %v", names, keys, err1, err2)
	}
	must(t, s.Remove("k"))
	if _, err := s.Mounts("k", ""); !errors.Is(err, fault.NotFound) {
		t.Errorf("Mounts: got %v", err)
	}
	if _, err := os.Lstat(root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the root was made: %v", err)
	}
	if _, err := snapshot.Open("relative", nil); !errors.Is(err, fault.Invalid) {
		t.Errorf("relative root: got %v", err)
	}
}

func TestCommit(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	a := stage(t, s, "a", "")
	b := stage(t, s, "b", "a") // before its parent is there
	if s.Exists("a") || s.Exists("b") {
		t.Error("staged layers exist already")
	}
	if err := b.Commit(); !errors.Is(err, fault.NotFound) {
		t.Errorf("commit without the parent: got %v", err)
	}
	must(t, a.Commit())
	must(t, b.Commit())
	if err := b.Commit(); !errors.Is(err, fault.Conflict) {
		t.Errorf("commit twice: got %v", err)
	}
	must(t, b.Abort())
	if _, err := s.Stage("b", "a"); !errors.Is(err, fault.Exists) {
		t.Errorf("stage of what is there: got %v", err)
	}
	again := open(t, root)
	if !again.Exists("a") || !again.Exists("b") {
		t.Error("lost after opening again")
	}
	names, err := again.Names()
	must(t, err)
	for i := range names {
		if names[i].Created.IsZero() {
			t.Errorf("%s has no time", names[i].Name)
		}
		names[i].Created = names[0].Created
	}
	want := []snapshot.Info{
		{Name: "a", Layers: 1, Created: names[0].Created},
		{Name: "b", Parent: "a", Layers: 2, Created: names[0].Created},
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func TestCommitTogether(t *testing.T) {
	s := open(t, t.TempDir())
	a, b, c := stage(t, s, "a", ""), stage(t, s, "b", "a"), stage(t, s, "c", "b")
	must(t, snapshot.Commit())
	must(t, snapshot.Commit(a, b, c))
	must(t, s.Prepare("k", "c"))
	ms, err := s.Mounts("k", "")
	must(t, err)
	lower, _, _ := strings.Cut(ms[0].Options[0], ",")
	if dirs := strings.Split(strings.TrimPrefix(lower, "lowerdir="), ":"); len(dirs) != 3 || dirs[0] != c.Dir() || dirs[2] != a.Dir() {
		t.Errorf("got %s", lower)
	}
}

// Two pulls of one image: the second Commit finds the layers there, and what
// it commits on top stands on the first one's trees.
func TestCommitRace(t *testing.T) {
	root := t.TempDir()
	s1, s2 := open(t, root), open(t, root)
	a1, a2 := stage(t, s1, "a", ""), stage(t, s2, "a", "")
	b2 := stage(t, s2, "b", "a")
	must(t, a1.Commit())
	must(t, snapshot.Commit(a2, b2))
	must(t, s2.Prepare("k", "b"))
	ms, err := s2.Mounts("k", "")
	must(t, err)
	if want := "lowerdir=" + b2.Dir() + ":" + a1.Dir(); ms[0].Options[0] != want {
		t.Errorf("got %s, want %s", ms[0].Options[0], want)
	}
	if _, err := os.Lstat(a2.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the loser's tree is still there: %v", err)
	}
}

func TestAbort(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	a := stage(t, s, "a", "")
	must(t, a.Abort())
	must(t, a.Abort())
	if err := a.Commit(); !errors.Is(err, fault.Conflict) {
		t.Errorf("commit after abort: got %v", err)
	}
	if left := contents(t, root); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// contents lists what is in the store's directories.
func contents(t *testing.T, root string) []string {
	t.Helper()
	paths, err := filepath.Glob(root + "/*/[a-zA-Z0-9]*")
	must(t, err)
	for i, p := range paths {
		paths[i], err = filepath.Rel(root, p)
		must(t, err)
	}
	return paths
}

func TestPrepare(t *testing.T) {
	s := open(t, t.TempDir())
	layer(t, s, "a", "")
	for _, tt := range []struct {
		name   string
		key    snapshot.Key
		parent snapshot.Name
		want   error
	}{
		{"first", "k", "a", nil},
		{"again", "k", "a", fault.Exists},
		{"unknown parent", "x", "none", fault.NotFound},
		{"bad key", "../x", "a", fault.Invalid},
		{"hidden key", ".lock", "a", fault.Invalid},
		{"empty key", "", "a", fault.Invalid},
		{"bad parent", "x", "a/b", fault.Invalid},
		{"long key", snapshot.Key(strings.Repeat("k", 129)), "a", fault.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := s.Prepare(tt.key, tt.parent); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	keys, err := s.Keys()
	must(t, err)
	if diff := cmp.Diff([]snapshot.Key{"k"}, keys); diff != "" {
		t.Error(diff)
	}
	if p, err := s.Parent("k"); p != "a" || err != nil {
		t.Errorf("parent: got %v, %v", p, err)
	}
}

func TestPrepareHost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a tree on the machine's own gets its owner, which needs root")
	}
	s := open(t, t.TempDir())
	must(t, s.Prepare("h", snapshot.Host))
	ms, err := s.Mounts("h", "/floor")
	must(t, err)
	if ms[0].Options[0] != "lowerdir=/" {
		t.Errorf("got %v", ms)
	}
}

func TestStageInvalid(t *testing.T) {
	s := open(t, t.TempDir())
	for _, tt := range [][2]snapshot.Name{{"", ""}, {"../x", ""}, {"a", "b/c"}, {"a", "a"}, {snapshot.Host, ""}, {"a", snapshot.Host}} {
		if _, err := s.Stage(tt[0], tt[1]); !errors.Is(err, fault.Invalid) {
			t.Errorf("Stage(%q, %q): got %v", tt[0], tt[1], err)
		}
	}
}

func TestRemoveName(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	layer(t, s, "a", "")
	layer(t, s, "b", "a")
	must(t, s.Prepare("k", "b"))
	for _, tt := range []struct {
		name snapshot.Name
		want error
		text string
	}{
		{"a", fault.Conflict, "snapshot b is built on it"},
		{"b", fault.Conflict, "active snapshot k uses it"},
		{"none", fault.NotFound, "no snapshot none"},
		{"../a", fault.Invalid, "want letters"},
		{snapshot.Host, fault.Invalid, "own file system"},
	} {
		if err := s.RemoveName(tt.name); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("RemoveName(%q): got %v, want %v with %q", tt.name, err, tt.want, tt.text)
		}
	}
	must(t, s.Remove("k"))
	must(t, s.RemoveName("b"))
	must(t, s.RemoveName("a"))
	if left := contents(t, root); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestUsage(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	layer(t, s, "a", "")
	must(t, s.Prepare("k", "a"))
	upper := filepath.Join(root, "keys/k/fs")
	must(t, os.MkdirAll(upper+"/d/e", 0o700))
	must(t, os.WriteFile(upper+"/d/e/f", make([]byte, 1000), 0o600))
	must(t, os.WriteFile(upper+"/g", make([]byte, 10), 0o600))
	must(t, os.Link(upper+"/g", upper+"/d/h"))
	if n, err := s.Usage("k"); n != 1010 || err != nil {
		t.Errorf("got %d, %v; want 1010", n, err)
	}
	if _, err := s.Usage("none"); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
}

// TestFloor: it lies below the lowest layer, but not where so many layers are
// that the kernel could refuse one more. The machine's own root has none:
// TestPrepareHost.
func TestFloor(t *testing.T) {
	s := open(t, t.TempDir())
	layer(t, s, "a", "")
	layer(t, s, "b", "a")
	parent := snapshot.Name("b")
	for i := range 98 {
		name := snapshot.Name("deep" + strconv.Itoa(i))
		layer(t, s, name, parent)
		parent = name
	}
	for key, tt := range map[snapshot.Key]struct {
		parent snapshot.Name
		want   bool
	}{
		"two":     {"b", true},
		"ninety9": {"deep96", true},
		"hundred": {"deep97", false},
	} {
		must(t, s.Prepare(key, tt.parent))
		for _, mounts := range []func(snapshot.Key, string) ([]mount.Mount, error){s.Mounts, s.MountsVolatile} {
			m, err := mounts(key, "/floor")
			must(t, err)
			if got := strings.HasSuffix(m[0].Options[0], ":/floor"); got != tt.want {
				t.Errorf("%s: %.200q", key, m[0].Options[0])
			}
		}
	}
}
