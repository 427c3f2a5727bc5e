package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestMakeOwn: the first directory of all brings those above it.
func TestMakeOwn(t *testing.T) {
	r := &rooms{cfg: Config{State: filepath.Join(t.TempDir(), "state")}}
	dir := r.runDir("one")
	for range 2 {
		if err := r.makeOwn(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{dir, filepath.Dir(dir), r.runtimeRoot(), r.cfg.State} {
		if st, err := os.Lstat(d); err != nil || st.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s: %v, %v", d, st, err)
		}
	}
}

func TestMakeOwnThatCannotBe(t *testing.T) {
	r := &rooms{cfg: Config{State: t.TempDir()}}
	if err := r.makeState(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.runDir("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.makeOwn(r.runDir("file")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file: %v", err)
	}
}
