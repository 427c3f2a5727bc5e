package cgroup

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ways are the ways a group can be killed in, each with what makes a group of
// the machine at hand one that has to be killed so; false if it cannot be.
var ways = map[string]func(g *group) bool{
	"as it is": func(*group) bool { return true },
	"v1 alone, which has no switch": func(g *group) bool {
		if g.unified() == nil || g.pure() {
			return !g.pure() && g.find("freezer") != nil
		}
		g.trees = g.trees[:len(g.trees)-1]
		return g.find("freezer") != nil
	},
	"v1 alone, without a freezer": func(g *group) bool {
		if g.pure() {
			return false
		}
		g.trees = slices.DeleteFunc(g.trees, func(t tree) bool { return t.unified || t.has("freezer") })
		return len(g.trees) > 0
	},
	"v2 before it had cgroup.kill": func(g *group) bool {
		g.seam = func(call, object string) error {
			if call == "write" && object == "cgroup.kill" {
				return unix.ENOENT
			}
			return nil
		}
		return g.pure()
	},
}

// everyWay runs a test in a new group for every way.
func everyWay(t *testing.T, test func(t *testing.T, g *group)) {
	for name, fit := range ways {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t)
			if !fit(g) {
				t.Skip("this machine's groups are not like that")
			}
			test(t, g)
			if err := g.Remove(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left := g.existing(); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestKillOutrunsForks(t *testing.T) {
	everyWay(t, func(t *testing.T, g *group) {
		needs(t, g, "pids") // the machine is not ours alone
		create(t, g, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(40))}})
		// A shell that cannot fork ends: it begins anew, which needs no fork.
		p := enter(t, g, `export bomb='trap "exec sh -c \"\$bomb\"" EXIT; while :; do (sleep 0.01; :) & done'
sh -c "$bomb" & sh -c "$bomb" & echo lit; wait`)
		p.line(t)
		until(t, "the bomb is at its limit", func() bool {
			s, err := g.Stats()
			if err != nil {
				t.Fatal(err)
			}
			return s.Pids.Current > 30
		})
		if err := g.Kill(); err != nil {
			t.Fatal(err)
		}
		p.Wait()
	})
}

func TestKillFrozen(t *testing.T) {
	everyWay(t, func(t *testing.T, g *group) {
		if g.freezer() == nil {
			t.Skip("nothing to freeze with")
		}
		create(t, g, nil)
		p := enter(t, g, "sleep 1000 & echo up; wait")
		p.line(t)
		if err := g.Freeze(context.Background(), true); err != nil {
			t.Fatal(err)
		}
		if err := g.Kill(); err != nil {
			t.Fatal(err)
		}
		p.Wait()
	})
}

// TestKillHalfDead: some of the group's directories are gone, and its
// processes are in some of the rest only, frozen.
func TestKillHalfDead(t *testing.T) {
	g := newGroup(t)
	if len(g.trees) < 3 || g.find("freezer") == nil || g.find("pids") == nil {
		t.Skip("needs several hierarchies of cgroup v1")
	}
	create(t, g, nil)
	p := enter(t, g, "echo up; while :; do sleep 0.01; done")
	p.line(t)
	if err := g.Freeze(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	for i := range g.trees {
		tr := &g.trees[i]
		if tr.has("freezer") || tr.has("pids") {
			continue
		}
		// Out it goes, frozen as it is, and the directory with it.
		pids, err := g.pidsIn(tr)
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range pids {
			if err := os.WriteFile(filepath.Join(tr.top, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "the directory is empty", func() bool { return unix.Rmdir(tr.path) == nil })
	}
	m, err := Reopen(g.Paths())
	if err != nil {
		t.Fatal(err)
	}
	if pids, err := m.Pids(); err != nil || !slices.Contains(pids, p.Process.Pid) {
		t.Errorf("pids %v, %v", pids, err)
	}
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	if err := m.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestFilterHasNoGap opens a device that no list allows while lists replace
// each other.
func TestFilterHasNoGap(t *testing.T) {
	g := newGroup(t)
	if g.unified() == nil {
		t.Skip("no unified tree")
	}
	onlyUnified(g)
	create(t, g, nil)
	p := enter(t, g, `n=0; echo up; while [ $n -lt 400 ]; do n=$((n+1)); (: </dev/kmsg) 2>/dev/null && echo hole; : </dev/null || echo shut; done; echo end`)
	p.line(t)
	other := []specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Major: ptr(int64(10)), Access: "r"}}
	said := make(chan string)
	go func() { s, _ := p.out.ReadString('\n'); said <- s }()
	for n := 0; ; n++ {
		select {
		case line := <-said:
			if line != "end\n" || n == 0 {
				t.Errorf("after %d changes: %q", n, line)
			}
			return
		default:
		}
		if err := g.Apply(&specs.LinuxResources{Devices: [][]specs.LinuxDeviceCgroup{{}, other}[n%2]}); err != nil {
			t.Fatal(err)
		}
	}
}
