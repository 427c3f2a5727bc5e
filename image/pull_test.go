package image

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/image-spec/specs-go"

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
