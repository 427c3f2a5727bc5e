package blob

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

func desc(text string) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromString(text), Size: int64(len(text))}
}

func TestPut(t *testing.T) {
	good := desc("hello")
	for _, tt := range []struct {
		name string
		d    ocispec.Descriptor
		text string
		err  error
		say  string
	}{
		{"right", good, "hello", nil, ""},
		{"shorter", good, "hell", fault.Damaged, "expected 5 bytes, got 4"},
		{"longer", good, "hello!", fault.Damaged, "longer than the 5 bytes"},
		{"other bytes", good, "hullo", fault.Damaged, "wrong digest: expected " + good.Digest.String() + ", got sha256:"},
		{"no digest grammar", ocispec.Descriptor{Digest: "sha256:../../etc/passwd", Size: 5}, "hello", fault.Invalid, "digest"},
		{"other algorithm", ocispec.Descriptor{Digest: digest.SHA384.FromBytes([]byte("hello")), Size: 5}, "hello", fault.Unsupported, "sha384"},
		{"sha512", ocispec.Descriptor{Digest: digest.SHA512.FromBytes([]byte("hello")), Size: 5}, "hello", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			s := Open(root)
			err := s.Put(t.Context(), tt.d, strings.NewReader(tt.text))
			if !errors.Is(err, tt.err) || (err != nil && !strings.Contains(err.Error(), tt.say)) {
				t.Fatalf("got %v, want %v with %q", err, tt.err, tt.say)
			}
			if s.Has(tt.d) != (tt.err == nil) {
				t.Errorf("Has = %v", s.Has(tt.d))
			}
			if left, _ := os.ReadDir(filepath.Join(root, "blobs/ingest")); len(left) != 0 {
				t.Errorf("left in ingest: %v", left)
			}
		})
	}
}

func TestOpenFindsDamage(t *testing.T) {
	s := Open(t.TempDir())
	d := desc("hello")
	if err := s.Put(t.Context(), d, strings.NewReader("hello")); err != nil {
		t.Fatal(err)
	}
	path, _ := s.Path(d.Digest)
	if err := os.WriteFile(path, []byte("hullo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadAll(t.Context(), s, d, 100); !errors.Is(err, fault.Damaged) {
		t.Errorf("got %v, want damaged", err)
	}
	if err := s.Quarantine(d.Digest); err != nil || s.Has(d) {
		t.Errorf("quarantine: %v, has %v", err, s.Has(d))
	}
	if _, err := s.Open(t.Context(), d); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

func TestReadAllBounds(t *testing.T) {
	s := Open(t.TempDir())
	d := desc("hello")
	if _, err := ReadAll(t.Context(), s, d, 4); !errors.Is(err, fault.TooLarge) {
		t.Errorf("got %v, want limit exceeded", err)
	}
}

func TestSweepSparesTheLiving(t *testing.T) {
	root := t.TempDir()
	s := Open(root)
	w, err := s.Create(desc("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	dead := filepath.Join(root, "blobs/ingest", tempPrefix+"1-dead")
	if err := os.WriteFile(dead, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	for _, p := range []string{dead, w.f.Name()} {
		if err := os.Chtimes(p, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Error("the dead writer's file is still there")
	}
	if _, err := os.Stat(w.f.Name()); err != nil {
		t.Error("the live writer's file is gone")
	}
}

func TestLockOneAtATime(t *testing.T) {
	s := Open(t.TempDir())
	d := digest.FromString("x")
	var mu sync.Mutex
	inside, most := 0, 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			unlock, err := s.Lock(t.Context(), "blob", d)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			mu.Lock()
			inside--
			mu.Unlock()
			unlock()
		})
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("%d inside at once", most)
	}
	unlock, err := s.Lock(t.Context(), "blob", d)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Lock(ctx, "blob", d); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want deadline", err)
	}
}

// memory is a source and a sink that remembers the order.
type memory struct {
	mu    sync.Mutex
	blobs map[digest.Digest]string
	order []digest.Digest
}

func (m *memory) Open(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	text, ok := m.blobs[d.Digest]
	if !ok {
		return nil, fault.New(fault.NotFound, "no %s", d.Digest)
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func (m *memory) Put(_ context.Context, d ocispec.Descriptor, r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[d.Digest] = string(text)
	m.order = append(m.order, d.Digest)
	return nil
}

func TestCopyParentsLast(t *testing.T) {
	src := &memory{blobs: map[digest.Digest]string{}}
	add := func(mediaType string, v any) ocispec.Descriptor {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
		src.blobs[d.Digest] = string(text)
		return d
	}
	layer, config := add(ocispec.MediaTypeImageLayer, "layer"), add(ocispec.MediaTypeImageConfig, "config")
	man := add(ocispec.MediaTypeImageManifest, ocispec.Manifest{Config: config, Layers: []ocispec.Descriptor{layer, layer}})
	index := add(ocispec.MediaTypeImageIndex, ocispec.Index{Manifests: []ocispec.Descriptor{man}})
	dst := &memory{blobs: map[digest.Digest]string{}}
	if err := Copy(t.Context(), dst, src, index, CopyOptions{Limit: 3}); err != nil {
		t.Fatal(err)
	}
	if len(dst.order) != 4 || dst.order[2] != man.Digest || dst.order[3] != index.Digest {
		t.Errorf("order %v", dst.order)
	}
	src.blobs[layer.Digest] = `"laier"`
	dst = &memory{blobs: map[digest.Digest]string{}}
	if err := Copy(t.Context(), dst, src, index, CopyOptions{}); !errors.Is(err, fault.Damaged) {
		t.Errorf("got %v, want damaged", err)
	}
	if _, ok := dst.blobs[man.Digest]; ok {
		t.Error("a manifest came although its layer did not")
	}
}

func FuzzChildren(f *testing.F) {
	f.Add([]byte(`{"config":{"digest":"sha256:00"},"layers":[{}]}`))
	f.Add([]byte(`{"manifests":[{"mediaType":"a","size":-1}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := Children(body)
		if err == nil && len(list) > len(body) {
			t.Errorf("%d children in %d bytes", len(list), len(body))
		}
		again, err2 := Children(bytes.Clone(body))
		if (err == nil) != (err2 == nil) || len(again) != len(list) {
			t.Error("two answers to one question")
		}
	})
}
