package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// below returns the manager of a group some levels below g's paths; g itself
// is never made, so its directories are parents.
func (g *group) below(path string) *group {
	b := &group{seam: g.seam}
	for _, t := range g.trees {
		t.path = filepath.Join(t.path, path)
		b.trees = append(b.trees, t)
	}
	return b
}

// TestCreateFailsAtEveryStep lets every single change fail in turn and looks
// for what is left.
func TestCreateFailsAtEveryStep(t *testing.T) {
	parent := newGroup(t)
	needs(t, parent, "memory", "cpu", "pids")
	g := parent.below("a/b")
	full := limits()
	full.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Access: "r"}}
	steps := 0
	for n := 0; ; n++ {
		steps = 0
		failed := ""
		g.seam = func(call, object string) error {
			if steps++; steps-1 == n {
				failed = call + " " + object
				return unix.ENOMEM
			}
			return nil
		}
		err := g.Create(full)
		if failed == "" {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if err == nil && failed == "write cgroup.subtree_control" {
			// The controllers in one go were refused, one by one they were not.
			if err := g.Remove(t.Context()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !errors.Is(err, unix.ENOMEM) {
			t.Errorf("step %d (%s) failed, create says %v", n, failed, err)
		}
		if left := append(g.existing(), parent.existing()...); len(left) > 0 {
			t.Fatalf("step %d (%s) failed and left %v", n, failed, left)
		}
	}
	if steps < 10 {
		t.Errorf("only %d steps were tried", steps)
	}
	g.seam = nil
	if err := g.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := parent.existing(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDeviceProgramFails(t *testing.T) {
	parent := newGroup(t)
	if parent.unified() == nil {
		t.Skip("no unified tree")
	}
	onlyUnified(parent)
	parent.seam = func(call, _ string) error {
		if call == "bpf" {
			return unix.EPERM
		}
		return nil
	}
	g := parent.below("a")
	if err := g.Create(nil); !errors.Is(err, unix.EPERM) {
		t.Errorf("got %v", err)
	}
	if left := parent.existing(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestParents(t *testing.T) {
	t.Run("ours go with the last container", func(t *testing.T) {
		parent := newGroup(t)
		one, two := parent.below("x/one"), parent.below("x/two")
		create(t, one, nil)
		create(t, two, nil)
		if err := one.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(parent.existing()) != len(parent.trees) {
			t.Error("the parent of a container is gone")
		}
		again, err := Reopen(two.Paths()) // another process
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := parent.existing(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("others stay", func(t *testing.T) {
		parent := newGroup(t)
		for _, tr := range parent.trees {
			if err := os.Mkdir(tr.path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		g := parent.below("one")
		create(t, g, nil)
		if err := g.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(parent.existing()) != len(parent.trees) {
			t.Error("a directory that was not ours is gone")
		}
	})
	t.Run("neighbours do not disturb", func(t *testing.T) {
		parent := newGroup(t)
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				g := parent.below(fmt.Sprintf("x/%d", worker))
				for range 25 {
					if err := g.Create(nil); err != nil {
						t.Error(err)
						return
					}
					if err := g.Remove(fresh()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

// TestHandsDownForReal needs controllers on the way to a group two levels
// below the top of the real unified tree. The top is the machine's: it gets
// back what it handed down before.
func TestHandsDownForReal(t *testing.T) {
	var before string
	var top *dir
	t.Cleanup(func() { // after the groups are gone
		if top == nil || strings.Contains(before, "hugetlb") {
			return
		}
		defer top.close()
		if err := top.write("cgroup.subtree_control", "-hugetlb"); err != nil && !errors.Is(err, unix.EBUSY) {
			t.Error(err)
		}
	})
	parent := newGroup(t)
	tr := parent.unified()
	if tr == nil || !tr.has("hugetlb") {
		t.Skip("the unified tree has no hugetlb controller")
	}
	sizes, err := hugetlbSizes(filepath.Dir(tr.path), ".current")
	if err != nil {
		t.Fatal(err)
	}
	top = parent.dir(filepath.Dir(tr.path))
	if before, err = top.read("cgroup.subtree_control"); err != nil {
		t.Fatal(err)
	}
	if len(sizes) == 0 {
		sizes = []string{"2MB"} // the top itself has no such files
	}
	g := parent.below("x/y")
	create(t, g, &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: sizes[0], Limit: 4 << 20}}})
	if got := mustRead(t, g.unified().path, "hugetlb."+sizes[0]+".max"); got != "4194304" {
		t.Errorf("limit is %s", got)
	}
	if s, err := g.Stats(); err != nil || len(s.Hugetlb) == 0 {
		t.Errorf("huge pages: %v, %v", s.Hugetlb, err)
	}
	if err := g.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
}
