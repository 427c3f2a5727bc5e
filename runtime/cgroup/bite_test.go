package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestCPUIsThrottled(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "cpu")
	create(t, g, &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(5000)), Period: ptr(uint64(50000))}})
	enter(t, g, "while :; do :; done")
	until(t, "it is throttled", func() bool {
		s, err := g.Stats()
		if err != nil {
			t.Fatal(err)
		}
		th := s.CPU.Throttling
		return th.ThrottledPeriods > 2 && th.ThrottledTime > 0 && th.Periods >= th.ThrottledPeriods
	})
}

// disk is the number of the disk that a directory is on, of the whole of it:
// there the limits are. ok is false where there is none.
func disk(t *testing.T, dir string) (specs.LinuxBlockIODevice, bool) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	sys, err := filepath.EvalSymlinks("/sys/dev/block/" + strconv.Itoa(int(unix.Major(st.Dev))) + ":" + strconv.Itoa(int(unix.Minor(st.Dev))))
	if err != nil {
		return specs.LinuxBlockIODevice{}, false
	}
	if _, err := os.Stat(sys + "/partition"); err == nil {
		sys = filepath.Dir(sys)
	}
	major, minor, _ := strings.Cut(mustRead(t, sys, "dev"), ":")
	a, _ := strconv.ParseInt(major, 10, 64)
	b, err := strconv.ParseInt(minor, 10, 64)
	return specs.LinuxBlockIODevice{Major: a, Minor: b}, err == nil
}

// TestIOIsThrottled writes past the page cache, more than the limit lets
// through in the time that it then has to wait for.
func TestIOIsThrottled(t *testing.T) {
	g := newGroup(t)
	if tr := g.find("io"); tr == nil {
		t.Skip("no io controller of cgroup v2")
	}
	dir := t.TempDir()
	if info, err := os.Stat("/scratch"); err == nil && info.IsDir() {
		var err error // the VM's own disk
		if dir, err = os.MkdirTemp("/scratch", "berth-io"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	dev, ok := disk(t, dir)
	if !ok {
		t.Skip("the directory for temporary files is on no disk")
	}
	limit := []specs.LinuxThrottleDevice{{LinuxBlockIODevice: dev, Rate: 256 << 10}}
	create(t, g, &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleWriteBpsDevice: limit}})
	p := enter(t, g, "dd if=/dev/zero of="+dir+"/x bs=64k count=8 oflag=direct 2>/dev/null && echo written")
	if got := p.line(t); got != "written" {
		t.Skip("no direct writing here")
	}
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	var written uint64
	for _, e := range s.Blkio.IoServiceBytesRecursive {
		if e.Op == "Write" && e.Major == uint64(dev.Major) && e.Minor == uint64(dev.Minor) {
			written = e.Value
		}
	}
	if written < 512<<10 {
		t.Errorf("%d bytes counted: %+v", written, s.Blkio)
	}
	if s.Blkio.PSI == nil || s.Blkio.PSI.Some.Total < 500_000 { // of two seconds
		t.Errorf("it has not waited: %+v", s.Blkio.PSI)
	}
}

// TestUnifiedForReal writes a file of every controller and reads it back.
func TestUnifiedForReal(t *testing.T) {
	g := newGroup(t)
	if !g.pure() {
		t.Skip("needs a machine with cgroup v2 alone")
	}
	want := map[string]string{
		"memory.high": "67108864", "memory.min": "4096", "memory.low": "8192", "memory.oom.group": "1", "memory.swap.high": "4096",
		"memory.zswap.max": "8192", "cpu.weight.nice": "5", "cpu.max.burst": "1000", "cpu.uclamp.min": "10.00", "cpu.uclamp.max": "80.00",
		"cpuset.cpus": "0", "cpuset.cpus.partition": "member", "pids.max": "77", "hugetlb.2MB.max": "2097152",
		"cgroup.max.depth": "3", "cgroup.max.descendants": "9",
	}
	// What this kernel was not built with is not asked for.
	probe := newGroup(t)
	create(t, probe, nil)
	for name := range want {
		if _, err := os.Stat(filepath.Join(probe.trees[0].path, name)); err != nil {
			t.Log("this kernel has no", name)
			delete(want, name)
		}
	}
	if len(want) < 10 {
		t.Errorf("only %d files to try", len(want))
	}
	want["cpu.max"] = "50000 100000"
	create(t, g, &specs.LinuxResources{Unified: want})
	for name, text := range want {
		if got := mustRead(t, g.trees[0].path, name); got != text {
			t.Errorf("%s is %q, want %q", name, got, text)
		}
	}
	for name, text := range map[string]string{"memory.high": "max", "memory.reclaim": "4096"} {
		err := g.Apply(&specs.LinuxResources{Unified: map[string]string{name: text}})
		if err != nil && !strings.Contains(err.Error(), "memory.reclaim") { // an empty group has nothing to give back
			t.Error(err)
		}
	}
	if got := mustRead(t, g.trees[0].path, "memory.high"); got != "max" {
		t.Errorf("memory.high is %q", got)
	}
}
