package cgroup

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestNeighboursHaveLimits makes groups at once below a parent that is new
// every time: one of them switches the controllers on, and the others' files
// must be there nevertheless.
func TestNeighboursHaveLimits(t *testing.T) {
	parent := newGroup(t)
	needs(t, parent, "pids", "memory")
	size := int64(64 << 20)
	limits := &specs.LinuxResources{
		Pids:   &specs.LinuxPids{Limit: ptr(int64(77))},
		Memory: &specs.LinuxMemory{Limit: &size, Swap: &size},
	}
	for range 20 {
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				g := parent.below(fmt.Sprintf("x/%d", worker))
				if err := g.Create(limits); err != nil {
					t.Error(err)
					return
				}
				// This one is optional: a file that is late is no limit.
				if tr := g.find("memory"); tr.unified {
					if got := mustRead(t, tr.path, "memory.swap.max"); got != "0" {
						t.Errorf("memory.swap.max is %s", got)
					}
				}
				if err := g.Remove(fresh()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// TestV2WaitsForFiles: a list of controllers that has them all may be ahead of
// the files, until whoever switches them on lets go of the kernel's lock.
func TestV2WaitsForFiles(t *testing.T) {
	f := newFake(t, "memory pids")
	g := f.group(t, "one")
	late := g.seam
	waited := false
	g.seam = func(call, object string) error {
		if call == "write" && object == "cgroup.subtree_control" {
			waited = true
		}
		if call == "write" && !strings.HasPrefix(object, "cgroup.") && !waited {
			return unix.ENOENT
		}
		return late(call, object)
	}
	create(t, g, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(5))}})
}
