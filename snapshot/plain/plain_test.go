package plain_test

import (
	"errors"
	"testing"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
	"github.com/berth-engine/berth/snapshot/plain"
	"github.com/berth-engine/berth/snapshot/snaptest"
)

func TestDriver(t *testing.T) {
	snaptest.Run(t, func(string) (snapshot.Driver, error) { return plain.New(), nil })
}

func TestHostRefused(t *testing.T) {
	s, err := snapshot.Open(t.TempDir(), plain.New())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare("k", snapshot.Host); !errors.Is(err, fault.Unsupported) {
		t.Errorf("got %v, want unsupported", err)
	}
	keys, err := s.Keys()
	if err != nil || len(keys) != 0 {
		t.Errorf("left behind: %v %v", keys, err)
	}
}
