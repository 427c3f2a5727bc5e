package cgroup

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
)

// guest is a shell that waits for a line on its input, so that it can be put
// into a group first.
type guest struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func newGuest(t *testing.T, script string) *guest {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "read start\n"+script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return &guest{cmd, in, bufio.NewReader(out)}
}

func (g *guest) start(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(g.in, "go\n"); err != nil {
		t.Fatal(err)
	}
}

// line returns the next line the guest prints.
func (g *guest) line(t *testing.T) string {
	t.Helper()
	s, err := g.out.ReadString('\n')
	if err != nil && s == "" {
		t.Fatal("the guest says nothing:", err)
	}
	return strings.TrimSpace(s)
}

// enter puts a guest into the group and lets it go.
func enter(t *testing.T, g *group, script string) *guest {
	t.Helper()
	p := newGuest(t, script)
	t.Cleanup(func() { _ = g.Kill() }) // also if it is frozen
	if err := g.Enter(p.Process.Pid); err != nil {
		t.Fatal(err)
	}
	p.start(t)
	return p
}

// until polls, for longer than a slow machine takes.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("still not: ", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func create(t *testing.T, g *group, r *specs.LinuxResources) {
	t.Helper()
	if err := g.Create(r); err != nil {
		t.Fatal(err)
	}
}

func needs(t *testing.T, g *group, controllers ...string) {
	t.Helper()
	for _, c := range controllers {
		if g.find(c) == nil {
			t.Skip("no cgroup controller ", c)
		}
	}
}

func TestCreateWritesLimits(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "memory", "cpu", "pids", "cpuset")
	create(t, g, limits())
	if got, want := len(g.existing()), len(g.trees); got != want {
		t.Errorf("%d directories, want %d", got, want)
	}
	check := checker(t, g)
	check("memory", "memory.limit_in_bytes", "67108864", "memory.max", "67108864")
	check("memory", "memory.memsw.limit_in_bytes", "67108864", "memory.swap.max", "0")
	check("cpu", "cpu.shares", "512", "cpu.weight", "59")
	check("cpu", "cpu.cfs_quota_us", "50000", "cpu.max", "50000 100000")
	check("pids", "pids.max", "100", "pids.max", "100")
	if tr := g.find("cpuset"); !tr.unified {
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			check("cpuset", name, mustRead(t, filepath.Dir(tr.path), name), "", "")
		}
	}
	if tr := g.find("devices"); tr != nil {
		want := "c *:* m|b *:* m|c 1:3 rwm|c 1:5 rwm|c 1:7 rwm|c 1:8 rwm|c 1:9 rwm|c 5:0 rwm|c 5:2 rwm|c 136:* rwm"
		if got := strings.ReplaceAll(mustRead(t, tr.path, "devices.list"), "\n", "|"); got != want {
			t.Errorf("devices.list is %s", got)
		}
	}

	// Both directions, with limits that depend on each other.
	for _, size := range []int64{256 << 20, 32 << 20, -1, 64 << 20} {
		r := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &size, Swap: &size}}
		if err := g.Apply(r); err != nil {
			t.Errorf("memory %d: %v", size, err)
		}
	}
	for _, quota := range []int64{5000, 200000} {
		r := &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: ptr(uint64(quota)), Burst: ptr(uint64(quota))}}
		if err := g.Apply(r); err != nil {
			t.Errorf("quota %d: %v", quota, err)
		}
	}
	check("memory", "memory.memsw.limit_in_bytes", "67108864", "memory.swap.max", "0")
	check("cpu", "cpu.cfs_burst_us", "200000", "cpu.max.burst", "200000")
	check("pids", "pids.max", "100", "pids.max", "100")
}

// checker compares what a file says: the one of v1 or the one of v2, whichever
// the controller has here.
func checker(t *testing.T, g *group) func(controller, v1, text1, v2, text2 string) {
	return func(controller, v1, text1, v2, text2 string) {
		t.Helper()
		tr := g.find(controller)
		name, want := v1, text1
		if tr.unified {
			name, want = v2, text2
		}
		if got := mustRead(t, tr.path, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestApplyKeepsTheOther changes one of two numbers that belong together, in
// both directions.
func TestApplyKeepsTheOther(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "memory", "cpu")
	create(t, g, &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(96 << 20))},
		CPU:    &specs.LinuxCPU{Quota: ptr(int64(50000)), Period: ptr(uint64(100000))},
	})
	check := checker(t, g)
	memory := func(m specs.LinuxMemory) {
		t.Helper()
		if err := g.Apply(&specs.LinuxResources{Memory: &m}); err != nil {
			t.Error(err)
		}
	}
	memory(specs.LinuxMemory{Limit: ptr(int64(32 << 20))})
	check("memory", "memory.memsw.limit_in_bytes", "100663296", "memory.swap.max", "67108864")
	memory(specs.LinuxMemory{Limit: ptr(int64(80 << 20))})
	check("memory", "memory.memsw.limit_in_bytes", "100663296", "memory.swap.max", "16777216")
	memory(specs.LinuxMemory{Swap: ptr(int64(128 << 20))})
	check("memory", "memory.limit_in_bytes", "83886080", "memory.max", "83886080")
	check("memory", "memory.memsw.limit_in_bytes", "134217728", "memory.swap.max", "50331648")
	memory(specs.LinuxMemory{Limit: ptr(int64(256 << 20)), Swap: ptr(int64(512 << 20))})
	memory(specs.LinuxMemory{Limit: ptr(int64(16 << 20)), Swap: ptr(int64(16 << 20))})
	check("memory", "memory.memsw.limit_in_bytes", "16777216", "memory.swap.max", "0")

	for _, p := range []specs.LinuxCPU{{Period: ptr(uint64(200000))}, {Quota: ptr(int64(400000))}, {Period: ptr(uint64(20000))}} {
		if err := g.Apply(&specs.LinuxResources{CPU: &p}); err != nil {
			t.Error(err)
		}
	}
	check("cpu", "cpu.cfs_quota_us", "400000", "cpu.max", "400000 20000")
	if err := g.Apply(&specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(-1))}}); err != nil {
		t.Error(err)
	}
	check("cpu", "cpu.cfs_period_us", "20000", "cpu.max", "max 20000")
}

// TestApplyIdle: an idle group takes no weight, so what makes it busy again
// has to go first.
func TestApplyIdle(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "cpu")
	create(t, g, &specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: ptr(int64(1)), Shares: ptr(uint64(512))}})
	check := checker(t, g)
	check("cpu", "cpu.idle", "1", "cpu.idle", "1")
	if err := g.Apply(&specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: ptr(int64(0)), Shares: ptr(uint64(2048))}}); err != nil {
		t.Fatal(err)
	}
	check("cpu", "cpu.shares", "2048", "cpu.weight", "174")
}

func TestApplyRefusesInWords(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "memory", "cpuset")
	create(t, g, limits())
	all := map[string]*specs.LinuxResources{
		"memory plus swap cannot be less":   {Memory: &specs.LinuxMemory{Limit: ptr(int64(1 << 40))}},
		"linux.resources.cpu.cpus":          {CPU: &specs.LinuxCPU{Cpus: "4095"}},
		"linux.resources.hugepageLimits[0]": {HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "3MB", Limit: 1}}},
		"linux.resources.rdma.x":            {Rdma: map[string]specs.LinuxRdma{"x": {HcaHandles: ptr(uint32(1))}}},
	}
	if g.pure() {
		all["linux.resources.unified.memory.nothing"] = &specs.LinuxResources{Unified: map[string]string{"memory.nothing": "1"}}
	} else {
		all["invalid configuration"] = &specs.LinuxResources{Unified: map[string]string{"memory.high": "1"}}
	}
	for want, r := range all {
		if err := g.Apply(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestHogIsKilledAndCounted(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "memory")
	size := int64(16 << 20)
	create(t, g, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &size, Swap: &size}})
	if n, err := g.OOMKills(); n != 0 || err != nil {
		t.Fatalf("before: %d kills, %v", n, err)
	}
	p := enter(t, g, hog)
	p.line(t)
	if n, err := g.OOMKills(); n == 0 || err != nil {
		t.Errorf("%d kills, %v; want some", n, err)
	}
	p.Wait()
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if s.Memory.EventCount.OOMKill == 0 || s.Memory.Usage.Limit != uint64(size) || s.Memory.Usage.Max == 0 {
		t.Errorf("memory statistics: %+v", s.Memory)
	}
}

func TestPidsLimitRefusesFork(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "pids")
	create(t, g, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(0))}})
	p := enter(t, g, "(true) 2>/dev/null || echo refused; /bin/true")
	if out := p.Wait(); out == nil {
		t.Error("the shell could fork under a limit of one process")
	}
	s, err := g.Stats()
	if err != nil || s.Pids.Limit != 1 {
		t.Errorf("statistics: %+v, %v", s.Pids, err)
	}
}

func TestDevicesAreDenied(t *testing.T) {
	for _, tree := range []string{"v1", "v2"} {
		t.Run(tree, func(t *testing.T) {
			g := newGroup(t)
			if tree == "v2" {
				if g.unified() == nil {
					t.Skip("no unified tree")
				}
				onlyUnified(g)
			}
			needsDevices(t, g)
			create(t, g, nil)
			node := filepath.Join(t.TempDir(), "kmsg")
			if err := unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 11))); err != nil {
				t.Skip("cannot make a device node here:", err)
			}
			script := `
probe() { (: <"$1") 2>/dev/null && echo yes || echo no; }
while probe /dev/null && probe ` + node + ` && read next; do :; done`
			p := enter(t, g, script)
			expect := func(when string, null, kmsg string) {
				t.Helper()
				if a, b := p.line(t), p.line(t); a != null || b != kmsg {
					t.Errorf("%s: /dev/null %s, kmsg %s; want %s, %s", when, a, b, null, kmsg)
				}
			}
			expect("by default", "yes", "no")
			rule := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(11)), Access: "r"}
			for _, step := range []struct {
				when  string
				rules []specs.LinuxDeviceCgroup
				kmsg  string
			}{
				{"after it was allowed", []specs.LinuxDeviceCgroup{rule}, "yes"},
				{"after an update without devices", nil, "yes"},
				{"after an update without it", []specs.LinuxDeviceCgroup{}, "no"},
				{"privileged", []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}, "yes"},
			} {
				if err := g.Apply(&specs.LinuxResources{Devices: step.rules}); err != nil {
					t.Fatal(step.when, err)
				}
				p.start(t)
				expect(step.when, "yes", step.kmsg)
			}
			p.in.Close()
			p.Wait()
		})
	}
}

func needsDevices(t *testing.T, g *group) {
	t.Helper()
	if g.find("devices") == nil && g.unified() == nil {
		t.Skip("nothing to confine devices with")
	}
}

func TestDevicesWithGroupsBelow(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "devices")
	create(t, g, nil)
	tr := g.find("devices")
	if err := os.Mkdir(filepath.Join(tr.path, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	tun := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr(int64(10)), Minor: ptr(int64(200)), Access: "rwm"}
	for _, step := range []struct {
		rules []specs.LinuxDeviceCgroup
		want  bool
	}{{[]specs.LinuxDeviceCgroup{tun}, true}, {[]specs.LinuxDeviceCgroup{}, false}} {
		if err := g.Apply(&specs.LinuxResources{Devices: step.rules}); err != nil {
			t.Fatal(err)
		}
		list := mustRead(t, tr.path, "devices.list")
		if got := strings.Contains(list, "c 10:200 rwm"); got != step.want || !strings.Contains(list, "c 1:3 rwm") {
			t.Errorf("want tun %v, devices.list:\n%s", step.want, list)
		}
	}
	err := g.Apply(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}})
	if err == nil {
		t.Error("everything was allowed under a group that has groups: want an error")
	}
}

func TestFreeze(t *testing.T) {
	for _, tree := range []string{"all", "v2"} {
		t.Run(tree, func(t *testing.T) {
			g := newGroup(t)
			if tree == "v2" {
				if g.unified() == nil {
					t.Skip("no unified tree")
				}
				onlyUnified(g)
			}
			create(t, g, nil)
			p := enter(t, g, "while echo tick && read next; do :; done")
			p.line(t)
			if err := g.Freeze(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			if frozen, err := g.Frozen(); !frozen || err != nil {
				t.Fatalf("frozen: %v, %v", frozen, err)
			}
			if err := g.Create(nil); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "container's cgroup is not empty") {
				t.Errorf("create over a container: %v", err)
			}
			// A frozen process does not answer, and dies of Kill all the same.
			p.start(t)
			if err := g.Freeze(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			p.line(t)
			if err := g.Freeze(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			if err := g.Kill(); err != nil {
				t.Fatal(err)
			}
			p.Wait()
			if st, ok := p.ProcessState.Sys().(syscall.WaitStatus); !ok || st.Signal() != syscall.SIGKILL {
				t.Errorf("ended with %v", p.ProcessState)
			}
		})
	}
}

func TestFreezeEnds(t *testing.T) {
	g := newGroup(t)
	create(t, g, nil)
	p := enter(t, g, "echo here; read next")
	p.line(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := g.Freeze(ctx, true)
	frozen, ferr := g.Frozen()
	if ferr != nil || frozen != (err == nil) {
		t.Errorf("freeze: %v, then frozen: %v, %v", err, frozen, ferr)
	}
}

func TestCreateRefusesFrozen(t *testing.T) {
	g := newGroup(t)
	create(t, g, nil)
	if err := g.Freeze(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	err := g.Create(nil)
	if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "container's cgroup unexpectedly frozen") {
		t.Errorf("got %v", err)
	}
	if len(g.existing()) != len(g.trees) {
		t.Error("create removed a group that it did not make")
	}
	// A new group below has its frost from above.
	below := &group{}
	for _, tr := range g.trees {
		tr.path += "/below"
		below.trees = append(below.trees, tr)
	}
	if err := below.Create(nil); err == nil || !strings.Contains(err.Error(), "frozen") {
		t.Errorf("below: got %v", err)
	}
	if left := below.existing(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := g.Freeze(t.Context(), false); err != nil {
		t.Fatal(err)
	}
}

// forest starts processes in the group and in a group below, some of them
// orphans.
const forest = `
for i in 1 2 3; do (sleep 1000 & sleep 1000 & wait) & done
(setsid sleep 1000 &)
echo grown; wait`

func TestKillFindsEverybody(t *testing.T) {
	for _, kind := range []string{"all", "v1", "v2", "v1 without freezer"} {
		t.Run(kind, func(t *testing.T) {
			g := newGroup(t)
			hybrid := g.unified() != nil && len(g.trees) > 1
			switch {
			case kind != "all" && !hybrid:
				t.Skip("not a hybrid machine")
			case kind == "v2":
				onlyUnified(g)
			case kind != "all":
				g.trees = g.trees[:len(g.trees)-1]
			}
			if kind == "v1 without freezer" {
				g.trees = slices.DeleteFunc(g.trees, func(t tree) bool { return t.has("freezer") })
			}
			create(t, g, nil)
			p := enter(t, g, forest)
			p.line(t)
			below := filepath.Join(g.trees[0].path, "below", "deep")
			if err := os.MkdirAll(below, 0o755); err != nil {
				t.Fatal(err)
			}
			var pids []int
			until(t, "the forest has grown", func() bool {
				var err error
				if pids, err = g.Pids(); err != nil {
					t.Fatal(err)
				}
				return len(pids) >= 11
			})
			if !slices.Contains(pids, p.Process.Pid) || !slices.IsSorted(pids) {
				t.Errorf("pids %v, want %d among them, sorted", pids, p.Process.Pid)
			}
			if kind == "all" || kind == "v2" {
				// One moves down; v1 would want a cpuset first.
				_ = os.WriteFile(filepath.Join(below, "cgroup.procs"), []byte(strconv.Itoa(pids[len(pids)-1])), 0)
			}
			if err := g.Kill(); err != nil {
				t.Fatal(err)
			}
			p.Wait()
			if err := g.Remove(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left := g.existing(); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			for _, pid := range pids {
				until(t, "process "+strconv.Itoa(pid)+" is gone", func() bool { return dead(pid) })
			}
			// All of it again is fine.
			if err := errors.Join(g.Kill(), g.Remove(t.Context())); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// dead reports whether the process is gone or a zombie.
func dead(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

func TestRemoveWaitsAndGivesUp(t *testing.T) {
	g := newGroup(t)
	create(t, g, nil)
	p := enter(t, g, "echo here; read next")
	p.line(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := g.Remove(ctx)
	if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "1 processes are still in it") {
		t.Errorf("got %v", err)
	}
	if pids, err := g.Pids(); err != nil || !slices.Equal(pids, []int{p.Process.Pid}) {
		t.Errorf("pids %v, %v", pids, err)
	}
	p.start(t) // its next line: it ends
	if err := g.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	p.Wait()
}

func TestEnterByDoors(t *testing.T) {
	g := newGroup(t)
	create(t, g, nil)
	doors, err := g.Doors()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := g.Dir()
	if err != nil {
		t.Fatal(err)
	}
	script := ""
	for i := range doors {
		script += "printf 0 >&" + strconv.Itoa(3+i) + "\n"
	}
	cmd := exec.CommandContext(t.Context(), "/bin/bash", "-c", script+"exec cat /proc/self/cgroup")
	cmd.ExtraFiles = doors
	if dir != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	}
	out, err := cmd.Output()
	for _, f := range doors {
		f.Close()
	}
	if dir != nil {
		dir.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(out), "/berth-test-"); got < len(g.trees) {
		t.Errorf("in %d groups of %d:\n%s", got, len(g.trees), out)
	}
}

func TestEnterNobody(t *testing.T) {
	g := newGroup(t)
	if err := g.Enter(os.Getpid()); err == nil || !strings.Contains(err.Error(), "adding pid") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("before create: %v", err)
	}
	create(t, g, nil)
	if err := g.Enter(1 << 22); err == nil || !strings.Contains(err.Error(), "no such process") {
		t.Errorf("got %v", err)
	}
}

func TestStatsCount(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "cpuacct", "memory", "pids", "cpuset")
	create(t, g, limits())
	p := enter(t, g, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; read next")
	p.line(t)
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if s.CPU.Usage.Total == 0 || s.Memory.Usage.Usage == 0 || s.Memory.Usage.Limit != 64<<20 || len(s.Memory.Raw) == 0 {
		t.Errorf("cpu %+v, memory %+v", s.CPU, s.Memory.Usage)
	}
	if s.Pids.Current != 1 || s.Pids.Limit != 100 || len(s.CPUSet.CPUs) == 0 || len(s.CPU.Usage.Percpu) == 0 {
		t.Errorf("pids %+v, cpuset %+v", s.Pids, s.CPUSet)
	}
	if g.unified() != nil && s.CPU.PSI == nil {
		t.Error("no pressure information")
	}
	if h := g.find("hugetlb"); h != nil && !h.unified && len(s.Hugetlb) == 0 {
		t.Error("no huge pages")
	}
	again, err := Reopen(g.Paths())
	if err != nil {
		t.Fatal(err)
	}
	if s, err = again.Stats(); err != nil || s.Pids.Current != 1 {
		t.Errorf("reopened: %+v, %v", s.Pids, err)
	}
}

func TestNotACgroup(t *testing.T) {
	m, err := Reopen(map[string]string{"memory": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Pids()
	if !errors.Is(err, fault.Damaged) {
		t.Errorf("pids of a plain directory: %v", err)
	}
	if err := m.Kill(); !errors.Is(err, fault.Damaged) {
		t.Errorf("kill in a plain directory: %v", err)
	}
}
