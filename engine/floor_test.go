package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestFloorIsCompleted: one who was killed while he made the floor left a part.
func TestFloorIsCompleted(t *testing.T) {
	r := &rooms{cfg: Config{Root: t.TempDir()}}
	if err := os.MkdirAll(filepath.Join(r.floor(), "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.floor(), "etc/hosts"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.makeFloor(); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]os.FileMode{
		"": 0o755 | os.ModeDir, "dev": 0o755 | os.ModeDir, "proc": 0o755 | os.ModeDir, "sys": 0o755 | os.ModeDir,
		"etc": 0o755 | os.ModeDir, "etc/hostname": 0o644, "etc/hosts": 0o644, "etc/resolv.conf": 0o644,
	} {
		st, err := os.Lstat(filepath.Join(r.floor(), name))
		if err != nil || st.Mode() != want {
			t.Errorf("%q: %v, %v; want %v", name, st, err, want)
		}
	}
}

func TestFloorThatCannotBe(t *testing.T) {
	r := &rooms{cfg: Config{Root: t.TempDir()}}
	if err := os.WriteFile(r.floor(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.makeFloor(); !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v", err)
	}
}
