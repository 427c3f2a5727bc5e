package image

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/snapshot"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/internal/fault"
)

func TestPull(t *testing.T) {
	s, trees := newStore(t)
	reg := newRegistry(t)
	m := alpha()
	reg.put("latest", m)
	var events []string
	res, err := s.Pull(t.Context(), reg.host()+"/app", PullOptions{Progress: func(e Event) {
		if e.Total == 0 {
			events = append(events, strings.TrimPrefix(e.Layer+": "+e.Text, ": "))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if res.Image.ID != m.id() || res.Digest != m.top() || res.UpToDate || res.Ref != reg.host()+"/app:latest" {
		t.Errorf("got %+v", res)
	}
	first, last := events[0], events[len(events)-2:]
	if first != "latest: Pulling from app" {
		t.Errorf("first event %q", first)
	}
	want := []string{"Digest: " + m.top().String(), "Status: Downloaded newer image for " + reg.host() + "/app:latest"}
	if d := cmp.Diff(want, last); d != "" {
		t.Error(d)
	}
	checkTree(t, trees, res.Image)

	img, err := s.Resolve(reg.host() + "/app")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(res.Image, img); d != "" {
		t.Error(d)
	}
	again, err := s.Pull(t.Context(), reg.host()+"/app:latest", PullOptions{})
	if err != nil || !again.UpToDate || again.Image.ID != m.id() {
		t.Errorf("second pull: %+v, %v", again, err)
	}
	if n := reg.count("GET /v2/app/blobs/"); n != 3 {
		t.Errorf("%d blob requests, want 3", n)
	}
}

// checkTree looks at the lower directories that a container on img would get.
func checkTree(t *testing.T, trees *snapshot.Store, img Image) {
	t.Helper()
	if err := trees.Prepare("c1", img.Top); err != nil {
		t.Fatal(err)
	}
	mounts, err := trees.Mounts("c1", "")
	if err != nil {
		t.Fatal(err)
	}
	defer trees.Remove("c1")
	var lower []string
	for _, o := range mounts[0].Options {
		if list, ok := strings.CutPrefix(o, "lowerdir="); ok {
			lower = strings.Split(list, ":")
		}
	}
	if len(lower) != 2 {
		t.Fatalf("lower directories %q, want 2", lower)
	}
	if st, err := os.Lstat(filepath.Join(lower[0], "etc/name")); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		t.Errorf("top layer has no whiteout for etc/name: %v %v", st, err)
	}
	if text, err := os.ReadFile(filepath.Join(lower[1], "etc/name")); err != nil || string(text) != "one" {
		t.Errorf("lowest layer: %q, %v", text, err)
	}
}

func TestPullRefuses(t *testing.T) {
	big := makeImage(runtime.GOARCH)
	for _, tt := range []struct {
		name string
		make func(reg *fakeRegistry)
		kind error
		text string
	}{
		{"nothing there", func(*fakeRegistry) {}, fault.NotFound, "manifest unknown"},
		{"wrong architecture", func(r *fakeRegistry) { r.put("latest", makeImage("s390x")) }, fault.Unsupported, "linux/s390x, wanted is linux/" + runtime.GOARCH},
		{"no platform in index", func(r *fakeRegistry) {
			r.putManifest("latest", ocispec.MediaTypeImageIndex, toJSON(ocispec.Index{
				Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
				Manifests: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageManifest, Digest: big.top(), Size: 1, Platform: &ocispec.Platform{OS: "linux", Architecture: "riscv64"}}},
			}))
		}, fault.Unsupported, "linux/riscv64"},
		{"schema 1", func(r *fakeRegistry) { r.putManifest("latest", dockerSchema1ws, []byte(`{"schemaVersion":1}`)) }, fault.Unsupported, "old schema 1"},
		{"unknown media type", func(r *fakeRegistry) { r.putManifest("latest", "application/vnd.example+json", []byte(`{}`)) }, fault.Unsupported, `"application/vnd.example+json"`},
		{"manifest that is an index", func(r *fakeRegistry) {
			r.putManifest("latest", ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"manifests":[]}`))
		}, fault.Invalid, "lists manifests like an index"},
		{"media types differ", func(r *fakeRegistry) {
			r.putManifest("latest", ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"}`))
		}, fault.Invalid, "was announced as"},
		{"deep JSON", func(r *fakeRegistry) {
			r.putManifest("latest", ocispec.MediaTypeImageManifest, []byte(strings.Repeat("[", 100)+strings.Repeat("]", 100)))
		}, fault.TooLarge, "nested deeper"},
		{"diff IDs missing", func(r *fakeRegistry) {
			r.put("latest", withConfig(alpha(), `{"rootfs":{"type":"layers","diff_ids":[]}}`))
		}, fault.Invalid, "config lists 0 layers, the manifest 2"},
		{"wrong diff ID", func(r *fakeRegistry) { r.put("latest", wrongDiffID()) }, fault.Damaged, "unpacks to other bytes"},
		{"gzip garbage", func(r *fakeRegistry) { r.put("latest", garbageLayer()) }, fault.Damaged, "layer.decompress"},
		{"blob missing", func(r *fakeRegistry) {
			m := alpha()
			r.put("latest", m)
			delete(r.blobs, "blobs/"+descOf("", m.layers[1]).Digest.String())
		}, fault.NotFound, "blob unknown"},
		{"blob truncated", func(r *fakeRegistry) { r.damage(alpha(), func(b []byte) []byte { return b[:len(b)-5] }) }, fault.Damaged, "expected"},
		{"blob longer", func(r *fakeRegistry) { r.damage(alpha(), func(b []byte) []byte { return append(b, 1, 2, 3) }) }, fault.Damaged, "expected"},
		{"blob wrong", func(r *fakeRegistry) {
			r.damage(alpha(), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}, fault.Damaged, "wrong digest: expected sha256:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, trees := newStore(t)
			reg := newRegistry(t)
			tt.make(reg)
			_, err := s.Pull(t.Context(), reg.host()+"/app", PullOptions{})
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v (%v), want %v with %q", err, fault.KindOf(err), tt.kind, tt.text)
			}
			checkEmpty(t, s, trees)
		})
	}
}

// checkEmpty wants nothing but lock files and whole blobs.
func checkEmpty(t *testing.T, s *Store, trees *snapshot.Store) {
	t.Helper()
	for _, p := range listing(t, s.root) {
		if !strings.HasPrefix(p, "blobs/sha256/") && p != "images.json" {
			t.Errorf("left behind: %s", p)
		}
	}
	if names, err := trees.Names(); err != nil || len(names) != 0 {
		t.Errorf("trees left: %v %v", names, err)
	}
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Errorf("images left: %v %v", list, err)
	}
}

// withConfig replaces the config of an image.
func withConfig(m *made, config string) *made {
	var man ocispec.Manifest
	must(json.Unmarshal(m.manifest, &man))
	delete(m.blobs, m.id())
	m.config = []byte(config)
	m.blobs[m.id()] = m.config
	man.Config = descOf(ocispec.MediaTypeImageConfig, m.config)
	m.manifest = toJSON(man)
	return m
}

func wrongDiffID() *made {
	m := alpha()
	var c ocispec.Image
	must(json.Unmarshal(m.config, &c))
	c.RootFS.DiffIDs[1] = c.RootFS.DiffIDs[0]
	return withConfig(m, string(toJSON(c)))
}

// garbageLayer has a layer whose digest is right and whose gzip stream breaks.
func garbageLayer() *made {
	m := makeImage(runtime.GOARCH, tarOf(file{"a", strings.Repeat("abc", 10000)}))
	z := m.layers[0]
	for i := 30; i < len(z); i++ {
		z[i] = 0xff
	}
	m.blobs = map[digest.Digest][]byte{m.id(): m.config, digest.FromBytes(z): z}
	var man ocispec.Manifest
	must(json.Unmarshal(m.manifest, &man))
	man.Layers[0] = descOf(ocispec.MediaTypeImageLayerGzip, z)
	m.manifest = toJSON(man)
	return m
}

// damage serves m with its last layer changed.
func (f *fakeRegistry) damage(m *made, change func([]byte) []byte) {
	f.put("latest", m)
	last := m.layers[len(m.layers)-1]
	f.blobs["blobs/"+digest.FromBytes(last).String()] = change(slices.Clone(last))
}
