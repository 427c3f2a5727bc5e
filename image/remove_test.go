package image

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/internal/fault"
)

// loaded puts images under tags into a store.
func load(t *testing.T, s *Store, m *made, tags ...string) {
	t.Helper()
	if _, err := s.Load(t.Context(), bytes.NewReader(archiveOf(m, tags...)), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
}

func lines(list []Removed) []string {
	var out []string
	for _, r := range list {
		if r.Untagged != "" {
			out = append(out, "Untagged: "+r.Untagged)
		} else {
			out = append(out, "Deleted: "+r.Deleted.String())
		}
	}
	return out
}

func TestRemove(t *testing.T) {
	base := tarOf(file{"base", "b"})
	m, n := makeImage(goarch, base, tarOf(file{"m", "m"})), makeImage(goarch, base, tarOf(file{"n", "n"}))
	s, trees := newStore(t)
	load(t, s, m, "app:1", "app:2", "alias:x")
	load(t, s, n, "other:1")
	hex := m.id().Encoded()[:12]

	got, err := s.Remove("app:1", RemoveOptions{})
	if d := cmp.Diff([]string{"Untagged: app:1"}, lines(got)); d != "" || err != nil {
		t.Error(d, err)
	}
	if _, err := s.Remove(hex, RemoveOptions{}); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "(must be forced) - image is referenced in multiple repositories") {
		t.Errorf("got %v", err)
	}
	got, err = s.Remove(hex, RemoveOptions{Force: true})
	top := "sha256:" + string(chainOf([]digest.Digest{digest.FromBytes(base), digest.FromBytes(tarOf(file{"m", "m"}))})[1])
	if d := cmp.Diff([]string{"Untagged: alias:x", "Untagged: app:2", "Deleted: " + m.id().String(), "Deleted: " + top}, lines(got)); d != "" || err != nil {
		t.Error(d, err)
	}
	if names, _ := trees.Names(); len(names) != 2 {
		t.Errorf("the other image's layers: %v", names)
	}
	if _, err := s.Remove("app", RemoveOptions{}); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want not found", err)
	}
	if got, err = s.Remove("other:1", RemoveOptions{}); err != nil || len(got) != 4 {
		t.Errorf("%v, %v", lines(got), err)
	}
	if d, _ := s.blobs.Digests(); len(d) != 0 {
		t.Errorf("blobs left: %v", d)
	}
	checkEmpty(t, s, trees)
}

func TestRemoveInUse(t *testing.T) {
	s, trees := newStore(t)
	m := makeImage(goarch, tarOf(file{"m", "m"}))
	load(t, s, m, "app:1")
	img, err := s.Resolve("app:1")
	must(err)
	must(trees.Prepare("c1", img.Top))
	used := func(Image) []string { return []string{"c1"} }
	for _, tt := range []struct {
		name string
		o    RemoveOptions
		say  string
	}{
		{"app:1", RemoveOptions{InUse: used}, `unable to remove repository reference "app:1" (must force) - container c1 is using its referenced image`},
		{img.ID.Encoded(), RemoveOptions{InUse: used}, "(must be forced) - image is being used by stopped container c1"},
		{"app:1", RemoveOptions{Force: true, Running: used}, "(cannot be forced) - image is being used by running container c1"},
	} {
		if _, err := s.Remove(tt.name, tt.o); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), tt.say) {
			t.Errorf("got %v, want %q", err, tt.say)
		}
	}
	must(s.Tag("app:1", "app:2")) // one of two names may go
	if got, err := s.Remove("app:2", RemoveOptions{InUse: used}); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", lines(got), err)
	}
	got, err := s.Remove("app:1", RemoveOptions{Force: true, InUse: used})
	if d := cmp.Diff([]string{"Untagged: app:1", "Deleted: " + m.id().String()}, lines(got)); d != "" || err != nil {
		t.Error(d, err)
	}
	if !trees.Exists(img.Top) {
		t.Error("the container's layer is gone")
	}
	must(trees.Remove("c1"))
	if gone, err := s.Sweep(); err != nil || len(gone) != 1 {
		t.Errorf("swept %v, %v", gone, err)
	}
}

func TestRemoveTakesDigests(t *testing.T) {
	s, _ := newStore(t)
	reg := newRegistry(t)
	m := alpha()
	reg.put("latest", m)
	name := reg.host() + "/app"
	if _, err := s.Pull(t.Context(), name, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	img, err := s.Resolve(name + "@" + m.top().String())
	if err != nil || len(img.RepoDigests) != 1 {
		t.Fatalf("%+v %v", img, err)
	}
	got, err := s.Remove(name, RemoveOptions{})
	if err != nil || len(got) != 5 || got[1].Untagged != name+"@"+m.top().String() {
		t.Errorf("%v, %v", lines(got), err)
	}
}

func TestResolve(t *testing.T) {
	s, _ := newStore(t)
	m := alpha()
	load(t, s, m, "app:latest", "reg.example:5000/team/app:v1")
	hex := m.id().Encoded()
	for _, tt := range []struct {
		name string
		err  error
	}{
		{"app", nil},
		{"app:latest", nil},
		{"docker.io/library/app", nil},
		{"reg.example:5000/team/app:v1", nil},
		{hex, nil},
		{hex[:4], nil},
		{"sha256:" + hex, nil},
		{"sha256:" + hex[:10], nil},
		{"app:2", fault.NotFound},
		{"team/app", fault.NotFound},
		{strings.Repeat("0", 64), fault.NotFound},
		{"App", fault.Invalid},
		{"", fault.Invalid},
		{"a b", fault.Invalid},
		{strings.Repeat("a", 5000), fault.Invalid},
	} {
		img, err := s.Resolve(tt.name)
		if !errors.Is(err, tt.err) || (err == nil && img.ID != m.id()) {
			t.Errorf("%q: got %s, %v, want %v", clip(tt.name), img.ID, err, tt.err)
		}
	}
}

func TestHostImage(t *testing.T) {
	s, _ := newStore(t)
	img, err := s.Ensure(t.Context(), "host", PullOptions{Policy: Always})
	if err != nil || img.Top != "host" || len(img.Config.Config.Cmd) != 1 || img.Size != 0 {
		t.Errorf("%+v, %v", img, err)
	}
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Errorf("listed: %v, %v", list, err)
	}
	if _, err := s.Remove("host", RemoveOptions{Force: true}); !errors.Is(err, fault.Conflict) {
		t.Errorf("removed: %v", err)
	}
	if err := s.Tag("host", "x"); !errors.Is(err, fault.Invalid) {
		t.Errorf("tagged: %v", err)
	}
	if _, err := s.Pull(t.Context(), "host", PullOptions{}); !errors.Is(err, fault.Invalid) {
		t.Errorf("pulled: %v", err)
	}
}

// TestLostTableKeepsImages: without images.json nothing is collected.
func TestLostTableKeepsImages(t *testing.T) {
	s, trees := newStore(t)
	load(t, s, alpha(), "app:1")
	must(removeFile(s.tablePath()))
	if _, err := s.Sweep(); !errors.Is(err, fault.Damaged) {
		t.Errorf("got %v, want damaged", err)
	}
	if names, _ := trees.Names(); len(names) != 2 {
		t.Errorf("trees left: %v", names)
	}
}

func BenchmarkResolve(b *testing.B) {
	s := benchStore(b, 50)
	b.ResetTimer()
	for b.Loop() {
		if _, err := s.Resolve("app10"); err != nil {
			b.Fatal(err)
		}
	}
}

// benchStore has n images of which only the records exist.
func benchStore(b *testing.B, n int) *Store {
	b.Helper()
	s := &Store{root: b.TempDir()}
	t := &table{Images: map[digest.Digest][]string{}}
	must(s.locked(func() error {
		for i := range n {
			m := makeImage(goarch, tarOf(file{"a", strings.Repeat("x", i)}))
			name := "docker.io/library/app" + itoa(i)
			t.Images[m.id()] = []string{name + ":latest", name + "@" + m.top().String()}
			now := time.Now()
			r := &record{ID: m.id(), Manifest: descOf("x", m.manifest)}
			r.Config.Created = &now
			must(s.writeRecord(r))
		}
		return s.writeTable(t)
	}))
	return s
}
