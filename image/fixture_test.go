package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/layer/codec"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/image/registry"
	"github.com/berth-engine/berth/snapshot"
	"github.com/berth-engine/berth/snapshot/overlay"
)

// newStore returns an empty image store on real rooms.
func newStore(t *testing.T) (*Store, *snapshot.Store) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("unpacking layers needs root")
	}
	root := t.TempDir()
	drv, err := overlay.New(filepath.Join(root, "snapshots"))
	if err != nil {
		t.Fatal(err)
	}
	trees, err := snapshot.Open(filepath.Join(root, "snapshots"), drv)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(root, trees, Direct(func(host, path string) (Repository, error) {
		return registry.Open(host, path, registry.Options{})
	}), codec.Decode)
	if err != nil {
		t.Fatal(err)
	}
	return s, trees
}

// file is one regular file of a layer.
type file struct{ name, text string }

func tarOf(files ...file) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.text)), Mode: 0o644}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		must(w.WriteHeader(h))
		_, err := w.Write([]byte(f.text))
		must(err)
	}
	must(w.Close())
	return buf.Bytes()
}

func zip(plain []byte) []byte {
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	must(err)
	_, err = w.Write(plain)
	must(err)
	must(w.Close())
	return buf.Bytes()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// made is an image put together by a test.
type made struct {
	config   []byte
	manifest []byte
	layers   [][]byte // compressed
	blobs    map[digest.Digest][]byte
}

func (m *made) id() digest.Digest  { return digest.FromBytes(m.config) }
func (m *made) top() digest.Digest { return digest.FromBytes(m.manifest) }

// makeImage gzips the given plain layers and writes documents for them.
func makeImage(arch string, plain ...[]byte) *made {
	m := &made{blobs: map[digest.Digest][]byte{}}
	c := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: arch}}
	c.RootFS.Type = "layers"
	c.Config.Cmd = []string{"/bin/true"}
	man := ocispec.Manifest{Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Layers: []ocispec.Descriptor{}}
	for _, p := range plain {
		z := zip(p)
		m.layers = append(m.layers, z)
		m.blobs[digest.FromBytes(z)] = z
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, digest.FromBytes(p))
		man.Layers = append(man.Layers, descOf(ocispec.MediaTypeImageLayerGzip, z))
	}
	m.config = toJSON(c)
	m.blobs[m.id()] = m.config
	man.Config = descOf(ocispec.MediaTypeImageConfig, m.config)
	m.manifest = toJSON(man)
	return m
}

func toJSON(v any) []byte {
	text, err := json.Marshal(v)
	must(err)
	return text
}

func descOf(mediaType string, text []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
}

// alpha is an image of two small layers for this machine.
func alpha() *made {
	return makeImage(runtime.GOARCH,
		tarOf(file{"etc/", ""}, file{"etc/name", "one"}, file{"bin/", ""}),
		tarOf(file{"etc/", ""}, file{"etc/.wh.name", ""}, file{"etc/other", strings.Repeat("x", 100_000)}))
}

// fakeRegistry serves what is put into it, and misbehaves where odd says so.
type fakeRegistry struct {
	*httptest.Server
	// odd may answer a request itself; it returns true when it did.
	odd func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	blobs    map[string][]byte
	types    map[string]string // of manifests
	requests []string
}

func newRegistry(t *testing.T) *fakeRegistry {
	t.Helper()
	f := &fakeRegistry{blobs: map[string][]byte{}, types: map[string]string{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeRegistry) host() string { return strings.TrimPrefix(f.URL, "http://") }

// put stores an image under name:tag.
func (f *fakeRegistry) put(tag string, m *made) {
	for d, text := range m.blobs {
		f.blobs["blobs/"+d.String()] = text
	}
	f.putManifest(tag, ocispec.MediaTypeImageManifest, m.manifest)
}

func (f *fakeRegistry) putManifest(tag, mediaType string, text []byte) {
	for _, key := range []string{"manifests/" + tag, "manifests/" + digest.FromBytes(text).String()} {
		f.blobs[key] = text
		f.types[key] = mediaType
	}
}

func (f *fakeRegistry) count(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

func (f *fakeRegistry) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	f.mu.Unlock()
	if f.odd != nil && f.odd(w, r) {
		return
	}
	key := strings.TrimPrefix(r.URL.Path, "/v2/app/")
	text, ok := f.blobs[key]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
		return
	}
	if mt := f.types[key]; mt != "" {
		w.Header().Set("Content-Type", mt)
		w.Header().Set("Docker-Content-Digest", digest.FromBytes(text).String())
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		if r.Method != http.MethodHead {
			w.Write(text)
		}
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

// listing is every file below the store's root, as "path size", without locks.
func listing(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	must(filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if !strings.HasSuffix(p, "lock") {
			out = append(out, rel)
		}
		return nil
	}))
	slices.Sort(out)
	return out
}

func mkfifo(path string) error     { return syscall.Mkfifo(path, 0o600) }
func removeFile(path string) error { return os.Remove(path) }
func itoa(n int) string            { return strconv.Itoa(n) }
