package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newGroup returns a manager of a group with a name of its own on the real
// machine, and removes what is left of it at the end.
func newGroup(t testing.TB) *group {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	l, err := Detect()
	if err != nil {
		t.Skip("no control groups:", err)
	}
	m, err := l.Manager(fmt.Sprintf("/berth-test-%d-%d", os.Getpid(), time.Now().UnixNano()))
	if err != nil {
		t.Fatal(err)
	}
	g := m.(*group)
	t.Cleanup(func() {
		g.seam = nil
		_ = g.Kill()
		if err := g.Remove(t.Context()); err != nil {
			// The test's own context is over; try without.
			if err := g.Remove(fresh()); err != nil {
				t.Error(err)
			}
		}
		if left := g.existing(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return g
}

// onlyUnified leaves a group nothing but the unified tree, and that without
// controllers: switching them on would change the machine's own groups.
func onlyUnified(g *group) {
	g.trees = g.trees[len(g.trees)-1:]
	g.trees[0].controllers = nil
}

// existing lists which directories of the group exist.
func (g *group) existing() []string {
	var out []string
	for i := range g.trees {
		if _, err := os.Stat(g.trees[i].path); err == nil {
			out = append(out, g.trees[i].path)
		}
	}
	return out
}

func mustRead(t testing.TB, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func ptr[T any](v T) *T { return &v }
