package resctrl

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
)

// tree is a resctrl file system of plain directories: files appear when they
// are written to, and go before their directory does.
func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"schemata": "    MB:0=100;1=100\n    L3:0=fffff;1=fffff\n", "tasks": "1\n",
		"info/last_cmd_status": "ok\n",
	} {
		put(t, filepath.Join(root, name), text)
	}
	dir(t, root, "mon_groups")
	return root
}

func put(t *testing.T, name, text string) {
	t.Helper()
	dir(t, filepath.Dir(name))
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func dir(t *testing.T, names ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(names...), 0o755); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, names ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(names...))
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func exists(names ...string) bool {
	_, err := os.Lstat(filepath.Join(names...))
	return err == nil
}

// drop takes the files of a group away, as the kernel does with the group.
func drop(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"schemata", "tasks"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

func choose(t *testing.T, root string, want *specs.LinuxIntelRdt) *Group {
	t.Helper()
	g, err := Choose(root, "c1", want)
	if err != nil {
		t.Fatal(err)
	}
	if exists(root, "c1") {
		t.Error("it is there before it is made")
	}
	return g
}

// Without closID the group has the container's name, and goes with it.
func TestOwnGroup(t *testing.T) {
	root := tree(t)
	want := &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f"}
	g := choose(t, root, want)
	if err := g.Make(want); err != nil {
		t.Fatal(err)
	}
	if s := get(t, g.Dir, "schemata"); s != "L3:0=f\n" || strings.Join(g.Dirs(), " ") != filepath.Join(root, "c1") {
		t.Errorf("%s: schemata %q", g.Dirs(), s)
	}
	drop(t, g.Dir)
	for range 2 {
		if err := g.Remove(); err != nil || exists(g.Dir) {
			t.Error("still there:", err)
		}
	}
}

// L3, then MB, then the rest, which counts.
func TestOrderOfLines(t *testing.T) {
	var got []string
	for _, l := range Lines(&specs.LinuxIntelRdt{Schemata: []string{"L2:0=f", "L3:0=1"}, MemBwSchema: "MB:0=20", L3CacheSchema: "L3:0=f"}) {
		got = append(got, l.Field+" "+l.Text)
	}
	const at = "linux.intelRdt."
	if want := at + "l3CacheSchema L3:0=f|" + at + "memBwSchema MB:0=20|" + at + "schemata[0] L2:0=f|" + at + "schemata[1] L3:0=1"; strings.Join(got, "|") != want {
		t.Errorf("got %q", got)
	}
}

// A group with a name of its own is made if it has to be, and stays.
func TestNamedGroup(t *testing.T) {
	root := tree(t)
	want := &specs.LinuxIntelRdt{ClosID: "gold", Schemata: []string{"L3:0=f"}, EnableMonitoring: true}
	g := choose(t, root, want)
	if _, err := Choose(root, "c1", &specs.LinuxIntelRdt{ClosID: "gold"}); !errors.Is(err, fault.NotFound) {
		t.Errorf("a group that is not there: %v", err)
	}
	// A plain directory has no mon_groups: that fails, and what was made goes.
	if err := g.Make(want); err == nil || !strings.Contains(err.Error(), "mon_groups") {
		t.Errorf("made: %v", err)
	}
	drop(t, g.Dir)
	if err := rmdir(g.Dir); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(g.Dir, "schemata"), "L3:0=0000f;1=ff\nMB:0=100\n")
	dir(t, g.Dir, "mon_groups")
	g = choose(t, root, want)
	if err := g.Make(want); err != nil || g.New || g.Own {
		t.Fatalf("%+v: %v", g, err)
	}
	if got, want := strings.Join(g.Dirs(), " "), g.Dir+" "+g.Dir+"/mon_groups/c1"; got != want {
		t.Errorf("to enter: %q, want %q", got, want)
	}
	if err := g.Make(want); err == nil {
		t.Error("a counting group of somebody else was taken")
	}
	drop(t, g.Monitor)
	if err := g.Remove(); err != nil || exists(g.Monitor) || !exists(g.Dir) {
		t.Errorf("removed: %v", err)
	}
	want.Schemata = []string{"L3:0=ff"}
	if err := g.Make(want); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "linux.intelRdt.schemata[0]") {
		t.Errorf("another mask: %v", err)
	}
	if s := get(t, g.Dir, "schemata"); !strings.HasPrefix(s, "L3:0=0000f") {
		t.Errorf("schemata of others changed: %q", s)
	}
}

// "/" is the group of everybody.
func TestDefaultGroup(t *testing.T) {
	root := tree(t)
	want := &specs.LinuxIntelRdt{ClosID: "/", MemBwSchema: "MB: 1 = 100", EnableMonitoring: true}
	g := choose(t, root, want)
	if err := g.Make(want); err != nil || g.Dirs()[0] != root || !exists(root, "mon_groups", "c1") {
		t.Error(err)
	}
	drop(t, g.Monitor)
	if err := g.Undo(); err != nil || !exists(root) || exists(g.Monitor) {
		t.Error(err)
	}
}

// What fails half-way leaves nothing; a group that others use by now stays.
func TestUndo(t *testing.T) {
	root := tree(t)
	want := &specs.LinuxIntelRdt{ClosID: "gold", L3CacheSchema: "L3:0=f"}
	for _, tasks := range []string{"", "12\n"} {
		g := choose(t, root, want)
		if err := os.Mkdir(g.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(g.Dir, "tasks"), tasks)
		err := g.Undo()
		// The file stands in the way of rmdir here, which in resctrl it does not.
		if tried := err != nil; tried != (tasks == "") {
			t.Errorf("tasks %q: %v", tasks, err)
		}
		drop(t, g.Dir)
		if err := rmdir(g.Dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := (*Group)(nil).Remove(); err != nil {
		t.Error(err)
	}
}

func TestKernelSaysWhy(t *testing.T) {
	root := tree(t)
	want := &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f"}
	g := choose(t, root, want)
	put(t, filepath.Join(root, "info/last_cmd_status"), "mask f has too few bits\n")
	dir(t, g.Dir, "schemata") // a directory refuses, too
	if err := g.Set(Lines(want)); err == nil || !strings.Contains(err.Error(), "too few bits") || !strings.Contains(err.Error(), "linux.intelRdt.l3CacheSchema") {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		field string
		want  specs.LinuxIntelRdt
	}{
		{"closID", specs.LinuxIntelRdt{ClosID: "a/b"}},
		{"closID", specs.LinuxIntelRdt{ClosID: ".."}},
		{"closID", specs.LinuxIntelRdt{ClosID: "info"}},
		{"closID", specs.LinuxIntelRdt{ClosID: "//"}},
		{"memBwSchema", specs.LinuxIntelRdt{MemBwSchema: "0=10"}},
		{"memBwSchema", specs.LinuxIntelRdt{MemBwSchema: "MB:0=10\nL3:0=f"}},
		{"l3CacheSchema", specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f\n"}},
		{"schemata[1]", specs.LinuxIntelRdt{Schemata: []string{"L3:0=f", "\n"}}},
	} {
		if err := Check(&tt.want); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "linux.intelRdt."+tt.field) {
			t.Errorf("%+v: %v", tt.want, err)
		}
	}
	if err := Check(&specs.LinuxIntelRdt{ClosID: "/", L3CacheSchema: "0=f"}); err != nil {
		t.Error(err)
	}
	if _, err := Choose(tree(t), "info", &specs.LinuxIntelRdt{}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a container of that name: %v", err)
	}
}

func TestFind(t *testing.T) {
	const rest = "25 1 0:5 / /proc rw - proc proc rw\n"
	for in, want := range map[string]string{
		"": "", rest: "", rest + "30 20 0:27 / /sys/fs/resctrl rw,nosuid shared:4 - resctrl resctrl rw\n": "/sys/fs/resctrl",
		"30 20 0:27 / /a\\040b rw - resctrl none rw": "/a b", "30 20 0:27 / resctrl rw - ext4 resctrl rw": "", "- resctrl": "", " - resctrl": "",
	} {
		if got := Find(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("30 20 0:27 / /x rw - resctrl none rw", "L3:0=00f;1=ff\nMB:0=5", "L3:0=f")
	f.Fuzz(func(t *testing.T, mountinfo, schemata, line string) {
		if at := Find(mountinfo); at != "" && !strings.HasPrefix(at, "/") {
			t.Errorf("mounted on %q", at)
		}
		holds(schemata, line)
		if _, domains := parse(line); len(domains) > 0 && !strings.Contains(line, "\n") && !holds(line, line) {
			t.Errorf("%q does not hold for itself", line)
		}
		Check(&specs.LinuxIntelRdt{ClosID: schemata, MemBwSchema: line})
	})
}
