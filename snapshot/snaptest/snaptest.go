// Package snaptest has the tests that every snapshot driver must pass.
//
//	func TestDriver(t *testing.T) {
//		snaptest.Run(t, func(root string) (snapshot.Driver, error) { return overlay.New(root) })
//	}
//
// They need root: trees are mounted for real, each in a private mount
// namespace of a thread that ends with the test, so nothing is left behind.
package snaptest

import (
	"os"
	"testing"

	"github.com/berth-engine/berth/snapshot"
)

// Run runs the suite on drivers made by open, each for a store of its own.
func Run(t *testing.T, open func(root string) (snapshot.Driver, error)) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	for _, tt := range []struct {
		name string
		run  func(*suite)
	}{
		{"shows layers in order", testOrder},
		{"deletes and hides", testWhiteouts},
		{"keeps the root's mode", testRootMode},
		{"writes stay in the key", testIsolation},
		{"volatile trees can be mounted again", testVolatile},
		{"keeps attributes", testAttributes},
		{"read-only view", testReadOnly},
		{"127 layers", testManyLayers},
		{"remove twice", testRemoveTwice},
		{"create fails half-way", testCreateFails},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			d, err := open(root)
			if err != nil {
				t.Fatal(err)
			}
			s, err := snapshot.Open(root, d)
			if err != nil {
				t.Fatal(err)
			}
			tt.run(&suite{T: t, store: s, driver: d, root: root})
		})
	}
}

type suite struct {
	*testing.T
	store  *snapshot.Store
	driver snapshot.Driver
	root   string
}

// must ends the test on an error.
func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// layer commits name on parent with what fill puts into its directory.
func (s *suite) layer(name, parent snapshot.Name, fill func(dir string)) {
	s.Helper()
	st, err := s.store.Stage(name, parent)
	s.must(err)
	fill(st.Dir())
	s.must(st.Commit())
}
