package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/runtime/cgroup"
	"github.com/berth-engine/berth/test/fixture"
)

// TestV2Traffic: cgroup v2 has no net_cls and net_prio. What stands in for them
// is nftables, which finds a container's packets by its group in the unified
// tree, and nobody else's.
func TestV2Traffic(t *testing.T) {
	fixture.Root(t)
	fixture.Need(t, "nft", "nsenter")
	tree := unifiedTree(t)
	s := newShell(t, "busybox nc -w 1 127.0.0.1 9; sleep 1000")
	s.want(0, "", "create", "--bundle", s.bundle, s.id)
	pid := strconv.Itoa(s.pid())
	group := groupOf(t, pid)
	other := group + "-other"
	if err := os.Mkdir(filepath.Join(tree, other), 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(filepath.Join(tree, other))
	nft := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("nsenter", append([]string{"--net=/proc/" + pid + "/ns/net", "nft"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("nft %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	nft("add table ip berth; add chain ip berth out { type filter hook output priority 0; }")
	for _, g := range []string{group, other} {
		// nft looks groups up below /sys/fs/cgroup, and counts levels from the top of the tree.
		path := strings.TrimPrefix(tree+g, "/sys/fs/cgroup/")
		nft(fmt.Sprintf("add rule ip berth out socket cgroupv2 level %d %q counter", strings.Count(g, "/"), path))
	}
	s.want(0, "", "start", s.id)
	s.until(func() bool { return strings.Count(nft("list chain ip berth out"), "packets 0 ") < 2 })
	for rule := range strings.Lines(nft("list chain ip berth out")) {
		ours, none := strings.Contains(rule, s.id+`"`), strings.Contains(rule, "packets 0 ")
		if strings.Contains(rule, s.id) && ours == none {
			t.Errorf("%s", rule)
		}
	}
}

// TestV2NetworkClass: who asks for a class is told what there is in its place.
func TestV2NetworkClass(t *testing.T) {
	fixture.Root(t)
	if l, err := cgroup.Detect(); err != nil || l.Version != cgroup.V2 {
		t.Skip("needs a machine with cgroup v2 alone")
	}
	s := newShell(t, "true")
	s.edit(func(p *specs.Spec) {
		p.Linux.Resources.Network = &specs.LinuxNetwork{ClassID: ref(uint32(0x10001))}
	})
	s.want(1, "socket cgroupv2", "create", "--bundle", s.bundle, s.id)
}

// unifiedTree is where the unified tree is mounted.
func unifiedTree(t *testing.T) string {
	t.Helper()
	l, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(l.Hierarchies, func(h cgroup.Hierarchy) bool { return h.Unified })
	if i < 0 {
		t.Skip("no unified tree")
	}
	return l.Hierarchies[i].Mountpoint
}

// groupOf is a process's group in the unified tree, from its top.
func groupOf(t *testing.T, pid string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	_, group, _ := strings.Cut(string(text), "0::")
	group, _, _ = strings.Cut(group, "\n")
	if group == "" || group == "/" {
		t.Fatalf("no group of its own in the unified tree: %s", text)
	}
	return group
}
