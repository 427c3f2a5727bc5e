package container

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

func open(t testing.TB) (*Store, string) {
	t.Helper()
	root := t.TempDir()
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	return s, root
}

func sample(name string) *Container {
	return &Container{
		ID: NewID(), Name: name, Created: time.Now().UTC(),
		Image: "sha256:" + strings.Repeat("ab", 32), ImageRef: "docker.io/library/alpine:latest",
		Path: "/bin/sh", Args: []string{"-c", "true"},
		Request: Request{
			Name: name, Image: "alpine", Args: []string{"/bin/sh", "-c", "true"},
			Entrypoint: []string{}, Env: []string{"A=1", "B=2"},
			Labels: map[string]string{"com.example.x": "y"},
			Mounts: []Mount{{Type: "bind", Source: "/srv", Target: "/srv"}},
		},
	}
}

func create(t testing.TB, s *Store, name string) *Container {
	t.Helper()
	c := sample(name)
	if err := s.Create(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// left lists everything below root, for tests that nothing is left.
func left(t *testing.T, root string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(p string, _ os.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, p)
		if filepath.Base(rel) == kernel.Places {
			return fs.SkipDir
		}
		if !slices.Contains([]string{".", "containers", "containers/.work", "names", "names/.lock"}, rel) {
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestCreateLoad(t *testing.T) {
	s, _ := open(t)
	want := create(t, s, "web")
	got, err := s.Load(want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.Request.Entrypoint == nil {
		t.Error("an empty entrypoint came back as none given")
	}
}

func TestCreateNameTaken(t *testing.T) {
	s, root := open(t)
	first := create(t, s, "web")
	before := left(t, root)
	err := s.Create(sample("web"))
	if !errors.Is(err, fault.Conflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	want := `Conflict. The container name "/web" is already in use by container "` + first.ID +
		`". You have to remove (or rename) that container to be able to reuse that name.`
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want %q in it", err, want)
	}
	if d := cmp.Diff(before, left(t, root)); d != "" {
		t.Error("left behind:", d)
	}
}

func TestCreateBad(t *testing.T) {
	s, root := open(t)
	for _, name := range []string{"a", "-a", "a/b", "../x", "a b", ".lock", "ä1", strings.Repeat("a", 129), "a\n"} {
		if err := s.Create(sample(name)); !errors.Is(err, fault.Invalid) {
			t.Errorf("name %q: got %v, want invalid", name, err)
		}
	}
	for _, id := range []string{"", "..", "../..", strings.Repeat("A", 64), strings.Repeat("a", 63)} {
		c := sample("ok")
		c.ID = id
		if err := s.Create(c); !errors.Is(err, fault.Invalid) {
			t.Errorf("id %q: got %v, want invalid", id, err)
		}
	}
	if l := left(t, root); len(l) > 0 {
		t.Error("left behind:", l)
	}
}

// Every step of a creation fails in turn; whatever it is, nothing stays and
// the name is free.
func TestCreateFailAtStep(t *testing.T) {
	injected := errors.New("injected")
	for n := 1; ; n++ {
		s, root := open(t)
		step := 0
		s.step = func(string) error {
			if step++; step == n {
				return injected
			}
			return nil
		}
		err := s.Create(sample("web"))
		if err == nil {
			if n < 6 {
				t.Fatalf("only %d steps", n-1)
			}
			return
		}
		if !errors.Is(err, injected) {
			t.Fatalf("step %d: %v", n, err)
		}
		if l := left(t, root); len(l) > 0 {
			t.Errorf("step %d left %v", n, l)
		}
		s.step = nil
		create(t, s, "web")
	}
}

// A removal that fails at any step can be repeated, and in the end nothing is left.
func TestRemoveFailAtStep(t *testing.T) {
	injected := errors.New("injected")
	for n := 1; ; n++ {
		s, root := open(t)
		c := create(t, s, "web")
		step := 0
		s.step = func(string) error {
			if step++; step == n {
				return injected
			}
			return nil
		}
		err := s.Remove(c.ID)
		s.step = nil
		if err == nil {
			if l := left(t, root); len(l) > 0 {
				t.Error("left behind:", l)
			}
			return
		}
		if err := s.Remove(c.ID); err != nil && !errors.Is(err, fault.NotFound) {
			t.Errorf("step %d: again: %v", n, err)
		}
		again := create(t, s, "web") // its sweep takes what is left of the first
		if err := s.Remove(again.ID); err != nil {
			t.Error(err)
		}
		if l := left(t, root); len(l) > 0 {
			t.Errorf("step %d left %v", n, l)
		}
	}
}

func TestRenameFailAtStep(t *testing.T) {
	injected := errors.New("injected")
	for n := 1; ; n++ {
		s, _ := open(t)
		c := create(t, s, "old")
		step := 0
		s.step = func(string) error {
			if step++; step == n {
				return injected
			}
			return nil
		}
		err := s.Rename(c.ID, "new")
		s.step = nil
		got, lerr := s.Load(c.ID)
		if lerr != nil {
			t.Fatal(lerr)
		}
		if by, ferr := s.Find(got.Name); ferr != nil || by.ID != c.ID {
			t.Errorf("step %d: not found by its name %q: %v", n, got.Name, ferr)
		}
		other := map[string]string{"old": "new", "new": "old"}[got.Name]
		if by, _ := s.Find(other); by != nil {
			t.Errorf("step %d: also found as %q", n, other)
		}
		create(t, s, other)
		if err == nil {
			return
		}
	}
}

// What a creator that died leaves behind is taken over by the next one.
func TestCreateAfterDeadCreator(t *testing.T) {
	s, root := open(t)
	dead := NewID()
	if err := os.Symlink(dead, filepath.Join(root, "names", "web")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.work, dead), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find("web"); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want not found", err)
	}
	c := create(t, s, "web")
	if l := s.atWork(); len(l) > 0 {
		t.Error("not swept:", l)
	}
	if got, err := s.Find("web"); err != nil || got.ID != c.ID {
		t.Errorf("got %v, %v", got, err)
	}
}

// A creator that still lives keeps its name and its work.
func TestCreateBesideLiveCreator(t *testing.T) {
	s, root := open(t)
	live := NewID()
	if err := os.Mkdir(filepath.Join(s.work, live), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := disk.LockDir(filepath.Join(s.work, live), disk.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := os.Symlink(live, filepath.Join(root, "names", "web")); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(sample("web")); !errors.Is(err, fault.Conflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if l := s.atWork(); !slices.Equal(l, []string{live}) {
		t.Error("work is now", l)
	}
}

func TestCreateRace(t *testing.T) {
	s, _ := open(t)
	// Half of the rounds start with a stale link, which all takers see.
	for round := range 20 {
		name := fmt.Sprint("web", round)
		if round%2 == 0 {
			if err := os.Symlink(NewID(), s.nameLink(name)); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			wg.Go(func() {
				c := sample(name)
				c.Request.Remove = true // no fsync: a tighter race
				err := s.Create(c)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, fault.Conflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("round %d: %d winners", round, won)
		}
	}
}

func TestFind(t *testing.T) {
	s, _ := open(t)
	a, b, c := sample("web"), sample("db1"), sample("cafe")
	a.ID = "ab" + a.ID[2:]
	b.ID = "ac" + b.ID[2:]
	c.ID = "cafe0" + c.ID[5:]
	d := sample("d0")
	d.ID = "cafe1" + d.ID[5:]
	d.Name = "cafe0" // a name that is also a prefix of c's id
	for _, c := range []*Container{a, b, c, d} {
		if err := s.Create(c); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		q    string
		want string
		err  error
		text string
	}{
		{a.ID, a.ID, nil, ""},
		{a.ID[:12], a.ID, nil, ""},
		{"ab", a.ID, nil, ""},
		{"web", a.ID, nil, ""},
		{"/web", a.ID, nil, ""},
		{"cafe", c.ID, nil, ""}, // a name goes before two prefixes
		{"cafe0", d.ID, nil, ""},
		{"cafe1", d.ID, nil, ""},
		{"a", "", fault.Invalid, "Multiple IDs found with provided prefix: a (2 containers"},
		{"nope", "", fault.NotFound, "No such container: nope"},
		{"", "", fault.Invalid, "value is empty"},
		{"..", "", fault.NotFound, "No such container: .."},
		{"../containers", "", fault.NotFound, ""},
		{strings.Repeat("0", 64), "", fault.NotFound, "No such container: 000"},
		{"AB", "", fault.NotFound, "No such container: AB"},
		{"x\ny", "", fault.NotFound, "No such container: x?y"},
	} {
		t.Run(tt.q, func(t *testing.T) {
			got, err := s.Find(tt.q)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %q, want %q in it", err, tt.text)
			}
			if err == nil && got.ID != tt.want {
				t.Errorf("got %s, want %s", got.ID, tt.want)
			}
		})
	}
}

func TestRename(t *testing.T) {
	s, _ := open(t)
	a, b := create(t, s, "one"), create(t, s, "two")
	if err := s.Rename(a.ID, "two"); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), b.ID) {
		t.Errorf("got %v, want a conflict that names the holder", err)
	}
	if err := s.Rename(a.ID, "three"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Find("three"); err != nil || got.ID != a.ID || got.Name != "three" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := s.Find("one"); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want not found", err)
	}
	if err := s.Rename(a.ID, "three"); !errors.Is(err, fault.Invalid) {
		t.Errorf("same name: got %v", err)
	}
	create(t, s, "one")
}

func TestUpdate(t *testing.T) {
	s, _ := open(t)
	c := create(t, s, "web")
	err := s.Update(c.ID, func(c *Container) error { c.Request.Restart.Name = "always"; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Load(c.ID); got.Request.Restart.Name != "always" {
		t.Errorf("got %+v", got)
	}
	if err := s.Update(c.ID, func(c *Container) error { c.Name = "x1"; return nil }); !errors.Is(err, fault.Invalid) {
		t.Errorf("rename by update: got %v", err)
	}
	if err := s.Update(NewID(), func(*Container) error { return nil }); !errors.Is(err, fault.NotFound) {
		t.Errorf("missing: got %v", err)
	}
}

func TestUpdateConcurrent(t *testing.T) {
	s, _ := open(t)
	c := sample("web")
	c.Request.Remove = true
	c.Args = nil
	if err := s.Create(c); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := s.Update(c.ID, func(c *Container) error { c.Args = append(c.Args, fmt.Sprint(i)); return nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, _ := s.Load(c.ID); len(got.Args) != 20 {
		t.Errorf("%d updates arrived, want 20", len(got.Args))
	}
}

func TestRemove(t *testing.T) {
	s, root := open(t)
	c := create(t, s, "web")
	if err := os.MkdirAll(filepath.Join(s.Dir(c.ID), "bundle", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(c.ID); err != nil {
		t.Fatal(err)
	}
	if l := left(t, root); len(l) > 0 {
		t.Error("left behind:", l)
	}
	if err := s.Remove(c.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("again: got %v", err)
	}
	for _, id := range []string{"", "..", ".work", "../names"} {
		if err := s.Remove(id); !errors.Is(err, fault.NotFound) {
			t.Errorf("%q: got %v", id, err)
		}
	}
}

func TestListDamaged(t *testing.T) {
	s, root := open(t)
	a, b, c := create(t, s, "a1"), create(t, s, "b1"), create(t, s, "c1")
	if err := os.WriteFile(filepath.Join(s.Dir(b.ID), recordFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := s.List()
	if !errors.Is(err, fault.Damaged) || !strings.Contains(err.Error(), b.ID) {
		t.Errorf("got %v, want damaged and the id", err)
	}
	var ids []string
	for _, c := range got {
		ids = append(ids, c.ID)
	}
	if d := cmp.Diff([]string{a.ID, c.ID}, ids); d != "" {
		t.Error(d)
	}
	// It is found, by id, name and prefix; its name is not free for others, and
	// it can be removed with its name.
	for _, q := range []string{b.ID, "b1", "/b1", b.ID[:20]} {
		if id, err := s.Resolve(q); err != nil || id != b.ID {
			t.Errorf("%q: got %q, %v", q, id, err)
		}
		if _, err := s.Find(q); !errors.Is(err, fault.Damaged) {
			t.Errorf("%q: got %v, want damaged", q, err)
		}
	}
	if err := s.Create(sample("b1")); !errors.Is(err, fault.Conflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if err := s.Remove(b.ID); err != nil {
		t.Error(err)
	}
	for _, id := range []string{a.ID, c.ID} {
		if err := s.Remove(id); err != nil {
			t.Error(err)
		}
	}
	if l := left(t, root); len(l) > 0 {
		t.Error("left behind:", l)
	}
}

func TestCreateSlash(t *testing.T) {
	s, _ := open(t)
	c := sample("/web")
	if err := s.Create(c); err != nil || c.Name != "web" {
		t.Fatalf("got %q, %v", c.Name, err)
	}
	if err := s.Rename(c.ID, "/web2"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Find("web2"); err != nil || got.Name != "web2" {
		t.Errorf("got %v, %v", got, err)
	}
}

// tinyStore is a store on a file system of its own.
func tinyStore(t *testing.T) (*Store, string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a tmpfs")
	}
	root := t.TempDir()
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("mount tmpfs:", err)
	}
	t.Cleanup(func() { syscall.Unmount(root, syscall.MNT_DETACH) })
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	return s, root
}

// A full disk: nothing is left of what failed, and removing still works.
func TestFullDisk(t *testing.T) {
	s, root := tinyStore(t)
	c := create(t, s, "web")
	before := left(t, root)
	big := sample("big")
	big.Request.Security.Seccomp = strings.Repeat("x", 100<<10)
	if err := s.Create(big); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want no space", err)
	}
	if d := cmp.Diff(before, left(t, root)); d != "" {
		t.Error("left behind:", d)
	}
	grow := func(c *Container) error { c.Request.Security.Seccomp = big.Request.Security.Seccomp; return nil }
	if err := s.Update(c.ID, grow); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want no space", err)
	}
	if got, err := s.Find("web"); err != nil || got.Request.Security.Seccomp != "" {
		t.Errorf("the old record: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "names", ".fill"), make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := s.Remove(c.ID); err != nil {
		t.Error(err)
	}
}

// On a read-only file system everything can be looked at.
func TestReadOnlyDisk(t *testing.T) {
	s, root := tinyStore(t)
	c := create(t, s, "web")
	if err := syscall.Mount("", root, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skip("remount:", err)
	}
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := s.List(); err != nil || len(list) != 1 {
		t.Errorf("%d records, %v", len(list), err)
	}
	if _, err := s.Find("web"); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"create": s.Create(sample("x1")), "remove": s.Remove(c.ID), "rename": s.Rename(c.ID, "x2"),
		"update": s.Update(c.ID, func(*Container) error { return nil }),
	} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: got %v, want read-only", name, err)
		}
	}
	if _, err := s.Find("web"); err != nil {
		t.Error(err)
	}
}

func TestOpenDenied(t *testing.T) {
	root := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(root, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(root); err == nil || !strings.Contains(err.Error(), root) {
		t.Errorf("below a file: %v", err)
	}
}

func TestCreateRandomName(t *testing.T) {
	s, _ := open(t)
	seen := map[string]bool{}
	for range 50 {
		c := sample("")
		c.Request.Remove = true
		if err := s.Create(c); err != nil {
			t.Fatal(err)
		}
		if seen[c.Name] || CheckName(c.Name) != nil {
			t.Errorf("name %q", c.Name)
		}
		seen[c.Name] = true
	}
}

func TestWordLists(t *testing.T) {
	for _, list := range []string{adjectives, surnames} {
		words := strings.Fields(list)
		sorted := slices.Clone(words)
		slices.Sort(sorted)
		if n := len(words) - len(slices.Compact(slices.Clone(sorted))); n > 0 {
			t.Errorf("%d words twice", n)
		}
		for _, w := range words {
			if strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" {
				t.Errorf("word %q", w)
			}
		}
	}
	if name := RandomName(rand.IntN); CheckName(name) != nil {
		t.Errorf("name %q", name)
	}
}

func TestNewID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := NewID()
		if !ValidID(id) || seen[id] || strings.Trim(id[:ShortLen], "0123456789") == "" {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

// fill makes n records the quick way.
func fill(b *testing.B, s *Store, n int) {
	b.Helper()
	for i := range n {
		c := sample(fmt.Sprint("name", i))
		c.Request.Remove = true
		if err := s.Create(c); err != nil {
			b.Fatal(err)
		}
		st := Status{State: Exited, Exit: &ExitStatus{Code: 1}, StartedAt: time.Now(), FinishedAt: time.Now(), BootID: kernel.BootID()}
		if i%10 == 0 {
			st.State, st.Pid = Running, os.Getpid()
			st.StartTicks, _ = kernel.StartTicks(st.Pid)
		}
		if err := WriteStatus(s.StatusFile(c.ID), st, false); err != nil {
			b.Fatal(err)
		}
	}
}

// The part of "berth ps -a" with 1,000 containers that happens here.
func BenchmarkList1000(b *testing.B) {
	s, _ := open(b)
	fill(b, s, 1000)
	b.ReportAllocs()
	before := cpuTime(b)
	defer func() { b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op") }()
	for b.Loop() {
		list, err := s.List()
		if err != nil || len(list) != 1000 {
			b.Fatal(len(list), err)
		}
		for _, st := range s.Statuses(list) {
			st.Alive()
		}
	}
}

// cpuTime is what this process used so far: on a busy machine it says more
// than the clock.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkFindName1000(b *testing.B) {
	s, _ := open(b)
	fill(b, s, 1000)
	for b.Loop() {
		if _, err := s.Find("name500"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreateRemove(b *testing.B) {
	for _, rm := range []bool{true, false} {
		b.Run(map[bool]string{true: "rm", false: "durable"}[rm], func(b *testing.B) {
			s, _ := open(b)
			fill(b, s, 100)
			for b.Loop() {
				c := sample("web")
				c.Request.Remove = rm
				if err := s.Create(c); err != nil {
					b.Fatal(err)
				}
				if err := s.Remove(c.ID); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
