package image

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-engine/berth/internal/fault"
)

var errInjected = errors.New("injected")

// failAt makes the n-th step fail and counts the steps.
func failAt(s *Store, n int) *int {
	var mu sync.Mutex
	count := 0
	s.step = func(string) error {
		mu.Lock()
		defer mu.Unlock()
		count++
		if count == n {
			return errInjected
		}
		return nil
	}
	return &count
}

// TestFailAtEveryStep fails pull, load and import at each of their steps: no
// record, tree, lease or temporary file may be left, and the next try works.
func TestFailAtEveryStep(t *testing.T) {
	reg := newRegistry(t)
	m := alpha()
	reg.put("latest", m)
	archive := archiveOf(m, "app:1")
	rootfs := tarOf(file{"bin/", ""}, file{"bin/sh", strings.Repeat("#", 200_000)})
	for _, tt := range []struct {
		name string
		run  func(ctx context.Context, s *Store) error
	}{
		{"pull", func(ctx context.Context, s *Store) error {
			_, err := s.Pull(ctx, reg.host()+"/app", PullOptions{})
			return err
		}},
		{"load", func(ctx context.Context, s *Store) error {
			_, err := s.Load(ctx, bytes.NewReader(archive), LoadOptions{})
			return err
		}},
		{"import", func(ctx context.Context, s *Store) error {
			_, err := s.Import(ctx, bytes.NewReader(rootfs), "root", ImportOptions{})
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for n := 1; ; n++ {
				s, trees := newStore(t)
				count := failAt(s, n)
				err := tt.run(t.Context(), s)
				if err == nil {
					if *count >= n {
						t.Fatalf("step %d failed and nobody noticed", n)
					}
					if n < 6 {
						t.Errorf("only %d steps", n-1)
					}
					return
				}
				if !errors.Is(err, errInjected) {
					t.Fatalf("step %d: %v", n, err)
				}
				checkEmpty(t, s, trees)
				s.step = nil
				if err := tt.run(t.Context(), s); err != nil {
					t.Errorf("after a failure of step %d: %v", n, err)
				}
			}
		})
	}
}

func TestCancelledPullLeavesWholeBlobs(t *testing.T) {
	s, trees := newStore(t)
	reg := newRegistry(t)
	m := alpha()
	reg.put("latest", m)
	last := "/v2/app/blobs/" + descOf("", m.layers[1]).Digest.String()
	ctx, cancel := context.WithCancel(t.Context())
	first := false
	reg.odd = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != last || first {
			return false
		}
		w.Header().Set("Content-Length", "100000")
		w.Write([]byte("part"))
		w.(http.Flusher).Flush()
		deadline := time.Now().Add(5 * time.Second)
		for !s.blobs.Has(descOf("", m.layers[0])) && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond) // the other layer, on its own connection
		}
		cancel()
		<-r.Context().Done()
		return true
	}
	begin := time.Now()
	_, err := s.Pull(ctx, reg.host()+"/app", PullOptions{})
	if !errors.Is(err, context.Canceled) && !errors.Is(err, fault.Damaged) {
		t.Fatal(err)
	}
	if time.Since(begin) > 10*time.Second {
		t.Errorf("cancelling took %s", time.Since(begin))
	}
	checkEmpty(t, s, trees)
}

// TestPullsTogether: one download per blob, whoever asks.
func TestPullsTogether(t *testing.T) {
	s, trees := newStore(t)
	reg := newRegistry(t)
	m := alpha()
	reg.put("latest", m)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			other := *s // as another process would
			if _, err := other.Pull(t.Context(), reg.host()+"/app", PullOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, l := range m.layers {
		if n := reg.count("GET /v2/app/blobs/" + descOf("", l).Digest.String()); n != 1 {
			t.Errorf("layer was fetched %d times", n)
		}
	}
	if names, err := trees.Names(); err != nil || len(names) != 2 {
		t.Errorf("trees %v, %v", names, err)
	}
	if left := listing(t, s.root+"/leases"); len(left) != 0 {
		t.Errorf("leases left: %v", left)
	}
}

// TestSharedLayersCrosswise: two images whose layers are the same in another
// order, pulled at the same time, wait for each other without a circle.
func TestSharedLayersCrosswise(t *testing.T) {
	s, _ := newStore(t)
	a, b := tarOf(file{"a", "a"}), tarOf(file{"b", "b"})
	reg := newRegistry(t)
	reg.put("ab", makeImage(goarch, a, b))
	reg.put("ba", makeImage(goarch, b, a))
	reg.put("aa", makeImage(goarch, a, a, a))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, tag := range []string{"ab", "ba", "aa", "ab", "ba"} {
		wg.Go(func() {
			other := *s
			if _, err := other.Pull(ctx, reg.host()+"/app:"+tag, PullOptions{}); err != nil {
				t.Error(tag, err)
			}
		})
	}
	wg.Wait()
}

func TestPullHeals(t *testing.T) {
	s, trees := newStore(t)
	reg := newRegistry(t)
	m := alpha()
	reg.put("latest", m)
	ref := reg.host() + "/app"
	res, err := s.Pull(t.Context(), ref, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The top tree is lost and the blob it came from has rotted.
	if err := trees.RemoveName(res.Image.Top); err != nil {
		t.Fatal(err)
	}
	d := descOf("", m.layers[1])
	path, _ := s.blobs.Path(d.Digest)
	must(writeFile(path, bytes.Repeat([]byte("?"), int(d.Size))))
	if _, err := s.Ensure(t.Context(), ref, PullOptions{Policy: Never}); !errors.Is(err, fault.Damaged) {
		t.Errorf("without a pull: got %v, want damaged", err)
	}
	img, err := s.Ensure(t.Context(), ref, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkTree(t, trees, img)
}
