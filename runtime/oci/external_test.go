package oci

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
)

const inside = `65 42 254:0 /b/rootfs / rw - ext4 /dev/vda rw
67 65 0:40 / /proc rw,relatime - proc proc rw
68 65 0:41 / /dev rw,nosuid - tmpfs tmpfs rw,mode=755
69 68 0:42 / /dev/pts rw - devpts devpts rw
70 68 0:42 /0 /dev/console rw - devpts devpts rw
71 65 254:0 /v /my\040volume ro master:3 - ext4 /dev/vda rw
72 71 0:50 / /my\040volume/deep rw - tmpfs tmpfs rw
73 71 0:51 / /my\040volume/deep/own rw - tmpfs tmpfs rw
74 65 0:44 / /sys ro - sysfs sysfs rw
75 74 0:45 / /sys/fs/cgroup ro - tmpfs tmpfs rw
76 75 0:31 /c1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
77 75 0:37 /c1 /sys/fs/cgroup/unified ro - cgroup2 cgroup2 rw
78 67 0:6 /null /proc/keys rw - devtmpfs devtmpfs rw
79 67 0:39 / /proc/acpi ro - tmpfs tmpfs rw
80 68 0:6 /null /dev/null rw - devtmpfs devtmpfs rw
81 65 254:0 /w /run/x rw - ext4 /dev/vda rw
no line at all
82 x
`

func externalSpec() *specs.Spec {
	return &specs.Spec{
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc"},
			{Destination: "/dev", Type: "tmpfs"},
			{Destination: "/dev/pts", Type: "devpts"},
			{Destination: "my volume/", Type: "bind", Source: "/v", Options: []string{"rbind", "ro"}},
			{Destination: "/my volume/deep/own", Type: "tmpfs"},
			{Destination: "/var/run/x", Source: "w", Options: []string{"bind"}},
			{Destination: "/sys", Type: "sysfs"},
			{Destination: "/sys/fs/cgroup", Type: "cgroup"},
		},
		Linux: &specs.Linux{MaskedPaths: []string{"/proc/keys", "/proc/acpi", "/proc/none"}},
	}
}

func TestExternalMounts(t *testing.T) {
	s := externalSpec()
	points := mount.Points(inside)
	if len(points) != 17-1 || points[5].Path != "/my volume" {
		t.Fatalf("points %+v", points)
	}
	at := func(name string) int { // links lead from /var/run to /run
		name = strings.TrimPrefix(name, "/var")
		for _, p := range points {
			if p.Path == name {
				return p.ID
			}
		}
		return 0
	}
	f := foreignOf(s, false)
	want := []string{
		"mnt[/my volume]:/my volume",
		"mnt[/my volume/deep]:/my volume/deep",
		"mnt[/sys/fs/cgroup/memory]:/sys/fs/cgroup/memory",
		"mnt[/sys/fs/cgroup/unified]:/sys/fs/cgroup/unified",
		"mnt[/proc/keys]:/dev/null",
		"mnt[/dev/null]:/dev/null",
		"mnt[/run/x]:/var/run/x",
	}
	if diff := cmp.Diff(want, f.dumped(points, at)); diff != "" {
		t.Errorf("dumped: %s", diff)
	}
	// Groups of its own are the container's own mounts.
	s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.CgroupNamespace}}
	f = foreignOf(s, false)
	want = slices.DeleteFunc(want, func(e string) bool { return strings.Contains(e, "cgroup") })
	if diff := cmp.Diff(want, f.dumped(points, at)); diff != "" {
		t.Errorf("dumped with a cgroup namespace: %s", diff)
	}
}

func TestExternalSources(t *testing.T) {
	machine := mount.Points("1 0 254:0 / / rw - ext4 a rw\n2 1 0:50 / /v/deep rw - tmpfs t rw\n3 1 0:50 / /vv rw - tmpfs t rw\n")
	f := foreignOf(externalSpec(), false)
	got := f.restored("/b", machine, map[string]string{"memory": "/sys/fs/cgroup/memory/c1", "": "/sys/fs/cgroup/unified/c1"})
	want := []string{
		"mnt[/dev/full]:/dev/full", "mnt[/dev/null]:/dev/null", "mnt[/dev/random]:/dev/random", "mnt[/dev/tty]:/dev/tty",
		"mnt[/dev/urandom]:/dev/urandom", "mnt[/dev/zero]:/dev/zero",
		"mnt[/my volume/deep]:/v/deep", "mnt[/my volume]:/v",
		"mnt[/sys/fs/cgroup/memory]:/sys/fs/cgroup/memory/c1", "mnt[/sys/fs/cgroup/unified]:/sys/fs/cgroup/unified/c1",
		"mnt[/var/run/x]:/b/w",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A source may be a link, or lie behind one.
func TestExternalSourceIsLink(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(dir+"/real/deep", 0o700), os.Symlink("real", dir+"/link")); err != nil {
		t.Fatal(err)
	}
	s := &specs.Spec{Linux: &specs.Linux{}, Mounts: []specs.Mount{{Destination: "/v", Type: "bind", Source: "link"}}}
	f := foreignOf(s, true)
	got := f.restored(dir, []mount.Point{{ID: 2, Path: dir + "/real/deep"}}, nil)
	for _, want := range []string{"mnt[/v]:" + dir + "/real", "mnt[/v/deep]:" + dir + "/real/deep"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in %q", want, got)
		}
	}
}

func TestUnkeptMounts(t *testing.T) {
	s := externalSpec()
	f := foreignOf(s, true)
	if at := f.unkept(); at != "" {
		t.Errorf("%s is refused", at)
	}
	s.Mounts[3].UIDMappings = []specs.LinuxIDMapping{{Size: 1}}
	f = foreignOf(s, true)
	if at := f.unkept(); at != "/my volume" {
		t.Errorf("%q is refused", at)
	}
}

func TestForeignStreams(t *testing.T) {
	for want, st := range map[string]unix.Stat_t{
		"null[1a:5]":  {Mode: unix.S_IFCHR, Rdev: unix.Mkdev(1, 3), Ino: 5},
		"tty[8801:7]": {Mode: unix.S_IFCHR, Rdev: unix.Mkdev(136, 1), Dev: 7, Ino: 4},
		"file[1a:ff]": {Mode: unix.S_IFREG, Ino: 255},
		"file[1a:c]":  {Mode: unix.S_IFIFO, Ino: 12},
		"socket:[9]":  {Mode: unix.S_IFSOCK},
	} {
		if got := foreignStream("socket:[9]", 26, &st); got != want {
			t.Errorf("%+v is %s, want %s", st, got, want)
		}
	}
	names := []string{"null[1a:5]", "pipe:[3]", "file[1a:ff]"}
	if diff := cmp.Diff([]string{"file[1a:5]", "file[1a:ff]"}, externalStreams(names)); diff != "" {
		t.Error(diff)
	}
	if key := streamKey("/dev/pts/0"); key != "" {
		t.Errorf("the container's own terminal has the key %s", key)
	}
}

// FuzzDescriptors: a list of an image is three names at most, and what they
// make CRIU look for has one of four forms.
func FuzzDescriptors(f *testing.F) {
	for _, s := range []string{`["null[1:2]","pipe:[3]","/dev/pts/0"]`, `[]`, `null`, `["a","b","c","d"]`, `[[[]]]`, `["pipe:[`, `["tty[1:2]"]`, `[1]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		names, err := parseDescriptors(data)
		if err != nil {
			return
		}
		if len(names) > 3 {
			t.Errorf("%d names", len(names))
		}
		for _, name := range names {
			key := streamKey(name)
			if key != "" && !strings.HasPrefix(key, "pipe:[") && !strings.HasPrefix(key, "file[") && !strings.HasPrefix(key, "tty[") {
				t.Errorf("%q has the key %q", name, key)
			}
		}
		again, err := json.Marshal(names)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := parseDescriptors(again); err != nil && len(again) <= maxDescriptors || err == nil && !slices.Equal(names, second) {
			t.Errorf("%q becomes %q, %v", names, second, err)
		}
	})
}

func TestRights(t *testing.T) {
	r, err := parseRights("Name:\tsh\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000020\nCapBnd:\t0000000020000020\nNoNewPrivs:\t1\nSeccomp:\t2\n")
	if want := (rights{caps: 1<<29 | 1<<5, noNew: true, filtered: true}); err != nil || r != want {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := parseRights("CapPrm:\tx\n"); err == nil {
		t.Error("no number is a set")
	}
	s := &specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL", "CAP_AUDIT_WRITE"}}},
		Linux:   &specs.Linux{Seccomp: &specs.LinuxSeccomp{}},
	}
	for want, r := range map[string]rights{
		"":                      r,
		"has no seccomp filter": {},
		"has CAP_SYS_ADMIN":     {caps: 1<<21 | 1<<5, filtered: true},
	} {
		if got := r.excess(s); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
	s.Process.Capabilities = nil
	if got := (rights{caps: 1 << 21, filtered: true}).excess(s); got != "" {
		t.Errorf("without a list of capabilities: %q", got)
	}
}

// CRIU's processes would be in the machine's group of caches.
func TestKeepableRefusesCaches(t *testing.T) {
	s := externalSpec()
	var q ImageRequest
	if err := q.keepable(t.TempDir(), s); err != nil {
		t.Fatal(err)
	}
	s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "a"}
	if err := q.keepable(t.TempDir(), s); fault.KindOf(err) != fault.Unsupported || !strings.Contains(err.Error(), "linux.intelRdt") {
		t.Errorf("%v", err)
	}
}
