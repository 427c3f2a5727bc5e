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
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/runtime/cgroup"
)

// These tests look at what limits of cgroup v2 do to a container of the real
// program. They run wherever the controllers are, which is in the virtual
// machines of test/vm at least.

func needsV2(t *testing.T, controller string) {
	t.Helper()
	l, err := cgroup.Detect()
	if err != nil || l.Version != cgroup.V2 || !slices.Contains(l.Hierarchies[0].Controllers, controller) {
		t.Skipf("needs a pure cgroup v2 tree with the controller %s", controller)
	}
}

// boxed starts a container under limits and returns the directory of its group.
func boxed(t *testing.T, r specs.LinuxResources, script string) (s *shell, group string) {
	t.Helper()
	s = newShell(t, "")
	r.Devices = []specs.LinuxDeviceCgroup{{Access: "rwm"}}
	s.edit(func(p *specs.Spec) {
		p.Root.Readonly = false
		p.Process.Args = []string{"sh", "-c", script}
		p.Linux.Resources = &r
	})
	s.want(0, "", "run", "--detach", "--pid-file", "pid", "--bundle", s.bundle, s.id)
	pid, err := os.ReadFile(filepath.Join(s.work, "pid")) // it may have been killed already
	if err != nil {
		t.Fatal(err)
	}
	return s, "/sys/fs/cgroup" + groupOf(t, string(pid))
}

// counter reads NAME of a file with lines "NAME NUMBER".
func counter(t *testing.T, group, file, name string) uint64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(group, file))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			return n
		}
	}
	t.Fatalf("%s has no %s:\n%s", file, name, text)
	return 0
}

// eventually polls for up to a minute: virtual machines are slow.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not after a minute: %s", what)
		}
	}
}

// wrote waits until the container has written a whole line to /NAME.
func (s *shell) wrote(name string) string {
	s.t.Helper()
	var text []byte
	eventually(s.t, "the container has written "+name, func() bool {
		text, _ = os.ReadFile(filepath.Join(s.bundle, "rootfs", name)) // not there yet
		return strings.HasSuffix(string(text), "\n")
	})
	return string(text)
}

func TestV2CPUIsThrottled(t *testing.T) {
	needsV2(t, "cpu")
	quota, period := int64(20000), uint64(100000)
	_, group := boxed(t, specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: &period}}, "while :; do :; done")
	eventually(t, "the container was throttled ten times", func() bool { return counter(t, group, "cpu.stat", "nr_throttled") >= 10 })
	// A period may be overrun by what was given out in slices, not by half.
	used, periods := counter(t, group, "cpu.stat", "usage_usec"), counter(t, group, "cpu.stat", "nr_periods")
	if limit := periods * uint64(quota) * 3 / 2; used > limit {
		t.Errorf("it has used %d µs in %d periods of %d µs", used, periods, quota)
	}
}

func TestV2MemoryKills(t *testing.T) {
	needsV2(t, "memory")
	size := int64(16 << 20)
	r := specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &size, Swap: &size}}
	s, group := boxed(t, r, "tail /dev/zero; echo $? >/status; exec sleep 1000")
	if got := s.wrote("status"); got != "137\n" {
		t.Errorf("the hog ended with status %q, want 137", got)
	}
	if n := counter(t, group, "memory.events", "oom_kill"); n != 1 {
		t.Errorf("%d kills were counted, want 1", n)
	}
	// The group's own limit was it, and not one above.
	if n := counter(t, group, "memory.events.local", "max"); n == 0 {
		t.Error("memory.max was never hit")
	}
	s.want(0, `"oom_kill":1`, "events", "--stats", s.id)
	s.want(0, `"limit":16777216`, "events", "--stats", s.id)
	s.want(0, `"status": "running"`, "state", s.id)
}

func TestV2PidsRefuse(t *testing.T) {
	needsV2(t, "pids")
	limit := int64(5)
	s, group := boxed(t, specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}},
		"(for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done) 2>/said; exec sleep 1000")
	if got := s.wrote("said"); !strings.Contains(got, "can't fork") {
		t.Errorf("the shell said %q", got)
	}
	if n := counter(t, group, "pids.events", "max"); n == 0 {
		t.Error("no refusal was counted")
	}
	s.want(0, `"limit":5`, "events", "--stats", s.id)
	s.want(0, "", "update", "--pids-limit", "20", s.id)
	s.want(0, "more\n", "exec", s.id, "sh", "-c", "sleep 0 & wait; echo more")
}

// disk is the whole disk that dir is on.
func disk(t *testing.T, dir string) (major, minor int64) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	sys := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	if _, err := os.Stat(sys + "/partition"); err == nil {
		sys += "/.."
	}
	text, err := os.ReadFile(sys + "/dev")
	if err != nil {
		t.Skipf("needs temporary files on a disk: %v", err)
	}
	if _, err := fmt.Sscanf(string(text), "%d:%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major, minor
}

// TestV2IOIsThrottled has a container write what its limit makes last for a
// quarter of an hour. A neighbour without limit is done before, and so is the
// container itself when its limit is lifted.
func TestV2IOIsThrottled(t *testing.T) {
	needsV2(t, "io")
	major, minor := disk(t, t.TempDir())
	throttle := specs.LinuxThrottleDevice{Rate: 1 << 10}
	throttle.Major, throttle.Minor = major, minor
	r := specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleWriteBpsDevice: []specs.LinuxThrottleDevice{throttle}}}
	const write = "dd if=/dev/zero bs=64k count=16 oflag=direct of="
	s, group := boxed(t, r, "echo >/begun; "+write+"/file 2>/said; echo $? >/status; exec sleep 1000")
	limit, err := os.ReadFile(group + "/io.max")
	if want := fmt.Sprintf("%d:%d rbps=max wbps=1024 riops=max wiops=max\n", major, minor); err != nil || string(limit) != want {
		t.Errorf("io.max is %q, %v; want %q", limit, err, want)
	}
	s.wrote("begun")
	if out, err := exec.Command("sh", "-c", write+filepath.Join(s.bundle, "file")).CombinedOutput(); err != nil {
		t.Fatalf("the neighbour: %v\n%s", err, out)
	}
	if text, err := os.ReadFile(filepath.Join(s.bundle, "rootfs/status")); err == nil {
		t.Errorf("1 MiB at 1 KiB a second was written at once, status %s", text)
	}
	resources := filepath.Join(s.work, "r.json")
	lifted := fmt.Sprintf(`{"blockIO":{"throttleWriteBpsDevice":[{"major":%d,"minor":%d,"rate":0}]}}`, major, minor)
	if err := os.WriteFile(resources, []byte(lifted), 0o600); err != nil {
		t.Fatal(err)
	}
	s.want(0, "", "update", "--resources", resources, s.id)
	if got := s.wrote("status"); got != "0\n" {
		t.Errorf("without the limit dd ended with status %s%s", got, s.wrote("said"))
	}
}

func TestV2DevicesAreFiltered(t *testing.T) {
	needsV2(t, "pids")
	// Opening /dev/kmsg takes a capability besides.
	const look = `look() { (: <$1) 2>/dev/null && echo $1 yes || echo $1 no; }; look /dev/null; look /dev/zero; look /dev/log`
	s := newShell(t, "")
	start := func(rules ...specs.LinuxDeviceCgroup) string {
		t.Helper()
		mode := os.FileMode(0o666)
		s.edit(func(p *specs.Spec) {
			p.Process.Args = []string{"sh", "-c", look}
			caps := []string{"CAP_SYSLOG"}
			p.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Permitted: caps, Effective: caps}
			p.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/log", Type: "c", Major: 1, Minor: 11, FileMode: &mode}}
			p.Linux.Resources.Devices = append(p.Linux.Resources.Devices, rules...)
		})
		return s.want(0, "", "run", "--bundle", s.bundle, s.id)
	}
	kmsg := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: new(int64), Minor: new(int64), Access: "r"}
	*kmsg.Major, *kmsg.Minor = 1, 11
	for _, tt := range []struct {
		name  string
		rules []specs.LinuxDeviceCgroup
		log   string
	}{
		{"denied", nil, "no"},
		{"allowed", []specs.LinuxDeviceCgroup{kmsg}, "yes"},
		{"privileged", []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}, "yes"},
	} {
		if got, want := start(tt.rules...), "/dev/null yes\n/dev/zero yes\n/dev/log "+tt.log+"\n"; got != want {
			t.Errorf("%s: %q, want %q", tt.name, got, want)
		}
	}
}
