package cgroup

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	hybridCgroup = "9:name=systemd:/\n4:memory:/agent/a b\n1:cpu,cpuacct:/\n0::/init\n"
	hybridMounts = `22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 master:4 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /agent /srv/part\040of\134it rw,relatime - cgroup cgroup rw,memory
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup none rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
`
	v2Cgroup = "0::/user.slice/session-1.scope\n"
	v2Mounts = "30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"

	nestedCgroup = "5:memory:/docker/abc\n"
	nestedMounts = "40 30 0:33 /docker/abc /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n"
)

func TestArrange(t *testing.T) {
	for _, tt := range []struct {
		name, cgroup, mounts string
		want                 Layout
	}{
		{"hybrid", hybridCgroup, hybridMounts, Layout{Hybrid, []Hierarchy{
			{Controllers: []string{"cpu", "cpuacct"}, Mountpoint: "/sys/fs/cgroup/cpu,cpuacct", Root: "/", Own: "/"},
			{Controllers: []string{"memory"}, Mountpoint: "/sys/fs/cgroup/memory", Root: "/", Own: "/agent/a b"},
			{Controllers: []string{"name=systemd"}, Mountpoint: "/sys/fs/cgroup/systemd", Root: "/", Own: "/"},
			{Unified: true, Mountpoint: "/sys/fs/cgroup/unified", Root: "/", Own: "/init"},
		}}},
		{"v2", v2Cgroup, v2Mounts, Layout{V2, []Hierarchy{{Unified: true, Mountpoint: "/sys/fs/cgroup", Root: "/", Own: "/user.slice/session-1.scope"}}}},
		{"v1 in a container", nestedCgroup, nestedMounts, Layout{V1, []Hierarchy{{Controllers: []string{"memory"}, Mountpoint: "/sys/fs/cgroup/memory", Root: "/docker/abc", Own: "/docker/abc", ReadOnly: true}}}},
		{"mounted over", "1:cpu:/\n", "1 0 0:1 / /sys/fs/cgroup rw - cgroup cgroup rw,cpu\n2 0 0:2 /x /sys/fs/cgroup rw - cgroup cgroup rw,cpu\n", Layout{V1, []Hierarchy{{Controllers: []string{"cpu"}, Mountpoint: "/sys/fs/cgroup", Root: "/x", Own: "/"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := arrange(parseMembership(tt.cgroup), parseMounts(tt.mounts))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	if _, err := arrange(parseMembership(v2Cgroup), nil); err == nil || !strings.Contains(err.Error(), "mount cgroup2") {
		t.Errorf("nothing mounted: got %v", err)
	}
}

func TestManagerPaths(t *testing.T) {
	const usual = "/sys/fs/cgroup"
	ours := t.TempDir() // where we may make groups, whoever we are
	layout := func(cgroup, mounts string) *Layout {
		l, err := arrange(parseMembership(cgroup), parseMounts(strings.ReplaceAll(mounts, usual, ours)))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	hybrid, v2, nested := layout(hybridCgroup, hybridMounts), layout(v2Cgroup, v2Mounts), layout(nestedCgroup, nestedMounts)
	hybrid.Hierarchies[3].Controllers = []string{"hugetlb"}
	for _, tt := range []struct {
		name string
		l    *Layout
		path string
		want map[string]string
	}{
		{"absolute", hybrid, "/berth/x", map[string]string{
			"": "/sys/fs/cgroup/unified/berth/x", "hugetlb": "/sys/fs/cgroup/unified/berth/x",
			"cpu": "/sys/fs/cgroup/cpu,cpuacct/berth/x", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/berth/x",
			"memory": "/sys/fs/cgroup/memory/berth/x", "name=systemd": "/sys/fs/cgroup/systemd/berth/x",
		}},
		{"below own", hybrid, "x", map[string]string{
			"": "/sys/fs/cgroup/unified/init/x", "hugetlb": "/sys/fs/cgroup/unified/init/x",
			"cpu": "/sys/fs/cgroup/cpu,cpuacct/x", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/x",
			"memory": "/sys/fs/cgroup/memory/agent/a b/x", "name=systemd": "/sys/fs/cgroup/systemd/x",
		}},
		{"beside own on v2", v2, "x", map[string]string{"": "/sys/fs/cgroup/user.slice/x"}},
		{"inside a container", nested, "x/y", map[string]string{"memory": "/sys/fs/cgroup/memory/x/y"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := tt.l.Manager(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			got := m.Paths()
			for name, dir := range got {
				got[name] = strings.Replace(dir, ours, usual, 1)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			again, err := Reopen(m.Paths())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(m.Paths(), again.Paths()); d != "" {
				t.Errorf("reopened (-want +got):\n%s", d)
			}
		})
	}
	for _, path := range []string{"", "/", "a//b", "../x", "/a/../b", "/a/.", "x/", "a\nb", "a\x00b", strings.Repeat("n", 256)} {
		if m, err := hybrid.Manager(path); err == nil {
			t.Errorf("path %q: got %v, want an error", path, m.Paths())
		}
	}
	outside := layout("1:cpu:/../up\n", "1 0 0:1 / /sys/fs/cgroup rw - cgroup cgroup rw,cpu\n")
	if _, err := outside.Manager("x"); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("own group out of sight: got %v", err)
	}
}

func TestReopenRefuses(t *testing.T) {
	for _, paths := range []map[string]string{nil, {"": "relative"}, {"cpu": "/"}, {"cpu": "/sys/../etc"}, {"cpu": "/a/"}, {"cpu": ""}} {
		if _, err := Reopen(paths); err == nil {
			t.Errorf("%v: want an error", paths)
		}
	}
}

func TestSub(t *testing.T) {
	paths := map[string]string{"cpu": "/c/x", "memory": "/m/x"}
	for _, tt := range []struct {
		words []string
		want  map[string]string
		err   string
	}{
		{[]string{"a"}, map[string]string{"cpu": "/c/x/a", "memory": "/m/x/a"}, ""},
		{[]string{"cpu:a", "memory:b/c"}, map[string]string{"cpu": "/c/x/a", "memory": "/m/x/b/c"}, ""},
		{[]string{"cpu,memory:/a"}, map[string]string{"cpu": "/c/x/a", "memory": "/m/x/a"}, ""},
		{[]string{"/"}, paths, ""},
		{nil, paths, ""},
		{[]string{"pids:a"}, nil, "unknown controller pids"},
		{[]string{":a"}, nil, "unknown controller "},
		{[]string{"../y"}, nil, "bad sub cgroup path"},
		{[]string{"cpu:a/../../y"}, nil, "bad sub cgroup path"},
	} {
		got, err := Sub(paths, tt.words)
		switch {
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%q: got %v, want %q", tt.words, err, tt.err)
		case tt.err == "" && err != nil:
			t.Errorf("%q: %v", tt.words, err)
		case tt.err == "":
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("%q (-want +got):\n%s", tt.words, d)
			}
		}
	}
}

func FuzzLayout(f *testing.F) {
	f.Add(hybridCgroup, hybridMounts)
	f.Add(v2Cgroup, v2Mounts)
	f.Add(nestedCgroup, nestedMounts)
	f.Add("0::\n1::/\n2:,:/", `1 2 3 \057\056\056 \400 x - cgroup a b`)
	f.Fuzz(func(t *testing.T, cgroup, mounts string) {
		l, err := arrange(parseMembership(cgroup), parseMounts(mounts))
		if err != nil {
			return
		}
		for _, path := range []string{"/x", "x"} {
			m, err := l.Manager(path)
			if err != nil {
				continue
			}
			for _, dir := range m.Paths() {
				if !strings.HasPrefix(dir, "/") || strings.Contains(dir+"/", "/../") {
					t.Errorf("path %q", dir)
				}
			}
		}
	})
}

func FuzzCounters(f *testing.F) {
	f.Add("nr_periods 1\nnr_throttled -1\n")
	f.Add("0-3,7\n")
	f.Add("some avg10=0.00 avg60=NaN avg300=1e999 total=5\nfull avg10=1\n")
	f.Add("8:0 Read 4096\n8:0 5\nTotal 5\n")
	f.Add("0\n12\n-3\n4294967296\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = number(text)
		_, _ = pairs(text), numbers(text)
		_, _ = blkioEntries(text), psi(text)
		if n := len(list(text)); n > 1<<20 {
			t.Errorf("a list of %d", n)
		}
		for _, pid := range parsePids(text) {
			if pid < 0 {
				t.Errorf("pid %d", pid)
			}
		}
	})
}
