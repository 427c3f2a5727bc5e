package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	for kind, want := range map[string][]string{
		"man":      {"berth.1", "berth-run.1", "berth-container-ls.1"},
		"markdown": {"berth.md", "berth_run.md"},
	} {
		out := filepath.Join(dir, kind)
		if err := os.MkdirAll(out, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := run([]string{kind, out}); err != nil {
			t.Fatal(err)
		}
		for _, name := range want {
			if st, err := os.Stat(filepath.Join(out, name)); err != nil || st.Size() == 0 {
				t.Errorf("%s: %s: %v", kind, name, err)
			}
		}
	}
	for _, bad := range [][]string{nil, {"man"}, {"pdf", dir}} {
		if run(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
