package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// fake is a tree of plain directories that get the files of cgroup2 when
// their group is first opened. It keeps what was written, in order.
type fake struct {
	root    string
	offered string            // cgroup.controllers of every group
	files   map[string]string // of a new group
	busy    string            // directory whose subtree_control refuses
	wrote   []string
}

func newFake(t *testing.T, offered string) *fake {
	f := &fake{root: t.TempDir(), offered: offered, files: map[string]string{
		"cgroup.events": "populated 0\nfrozen 0\n", "cgroup.procs": "", "cgroup.freeze": "0",
	}}
	for _, name := range []string{
		"cgroup.subtree_control", "cpu.weight", "cpu.max", "cpu.max.burst", "cpuset.cpus", "memory.max",
		"memory.swap.max", "memory.low", "memory.high", "pids.max", "io.weight", "io.max", "hugetlb.2MB.max",
	} {
		f.files[name] = ""
	}
	f.fill(t, f.root)
	return f
}

func (f *fake) fill(t *testing.T, dir string) {
	if _, err := os.Stat(dir + "/cgroup.controllers"); err == nil {
		return
	}
	files := map[string]string{"cgroup.controllers": f.offered}
	for name, text := range f.files {
		files[name] = text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (f *fake) group(t *testing.T, path string) *group {
	g := &group{fake: true, trees: []tree{{unified: true, path: filepath.Join(f.root, path), top: f.root, controllers: strings.Fields(f.offered)}}}
	at := ""
	g.seam = func(call, object string) error {
		switch call {
		case "open":
			if at = object; strings.HasPrefix(object, f.root) {
				f.fill(t, object)
			}
		case "write":
			if f.busy == at && object == "cgroup.subtree_control" {
				return unix.EBUSY
			}
			f.wrote = append(f.wrote, object)
		}
		return nil
	}
	return g
}

func TestV2Create(t *testing.T) {
	f := newFake(t, "cpuset cpu io memory hugetlb pids")
	g := f.group(t, "berth/one")
	r := limits()
	r.CPU.Burst = ptr(uint64(10))
	r.BlockIO = &specs.LinuxBlockIO{Weight: ptr(uint16(500))}
	r.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}
	r.Unified = map[string]string{"memory.high": "5000"}
	create(t, g, r)
	want := []string{
		"cgroup.subtree_control", // see settle
		"memory.high", "cpu.weight", "cpu.max", "cpu.max.burst", "memory.swap.max", "memory.max",
		"pids.max", "io.weight", "hugetlb.2MB.max",
	}
	if d := cmp.Diff(want, f.wrote); d != "" {
		t.Errorf("order of writing (-want +got):\n%s", d)
	}
	for name, want := range map[string]string{"memory.max": "67108864", "memory.swap.max": "0", "cpu.max": "50000 100000", "io.weight": "4950", "pids.max": "100"} {
		if got := mustRead(t, g.trees[0].path, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestV2HandsDown has controllers at the top only.
func TestV2HandsDown(t *testing.T) {
	f := newFake(t, "cpu memory pids")
	g := f.group(t, "berth/one")
	f.offered = "cpu" // of groups made later
	create(t, g, &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(1024))}})
	for _, dir := range []string{f.root, filepath.Join(f.root, "berth")} {
		if got := mustRead(t, dir, "cgroup.subtree_control"); got != "+memory +pids" {
			t.Errorf("%s: %q", dir, got)
		}
	}
}

func TestV2RefusesWhatIsNotHandedDown(t *testing.T) {
	f := newFake(t, "cpu memory pids")
	f.busy = f.root
	g := f.group(t, "one")
	f.offered = "cpu"
	err := g.Create(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(5))}})
	if err == nil || !strings.Contains(err.Error(), "linux.resources.pids.limit") || !strings.Contains(err.Error(), "processes of its own") {
		t.Errorf("got %v", err)
	}
	// Nobody asked for more than cpu: the refusal does not matter.
	if err := f.group(t, "two").Create(&specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(2))}}); err != nil {
		t.Error(err)
	}
}

func TestV2RefusesTaken(t *testing.T) {
	for name, tt := range map[string]struct{ file, text, want string }{
		"processes": {"cgroup.procs", "12\n13\n", "not empty: 2 processes"},
		"frozen":    {"cgroup.events", "populated 0\nfrozen 1\n", "unexpectedly frozen"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "pids")
			f.files[tt.file] = tt.text
			g := f.group(t, "one")
			if err := os.Mkdir(g.trees[0].path, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := g.Create(nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestV2CheckBeforeUpdate(t *testing.T) {
	f := newFake(t, "memory")
	f.files["memory.current"], f.files["memory.max"], f.files["memory.swap.max"] = "5000\n", "max\n", "max\n"
	g := f.group(t, "one")
	create(t, g, nil)
	for want, m := range map[string]specs.LinuxMemory{
		"rejecting memory limit 1024":      {Limit: ptr(int64(1024))},
		"rejecting memory+swap limit 2048": {Limit: ptr(int64(1024)), Swap: ptr(int64(2048))},
		"":                                 {Limit: ptr(int64(9000))},
	} {
		m.CheckBeforeUpdate = ptr(true)
		err := g.Apply(&specs.LinuxResources{Memory: &m})
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestV2MissingController(t *testing.T) {
	f := newFake(t, "cpu pids")
	err := f.group(t, "one").Create(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(1 << 30))}})
	if err == nil || !strings.Contains(err.Error(), "controller memory is not available") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(f.root, "one")); err == nil {
		t.Error("the group was made before its limits were known to be impossible")
	}
}

func TestV2Stats(t *testing.T) {
	f := newFake(t, "cpuset cpu io memory hugetlb pids")
	for name, text := range map[string]string{
		"cpu.stat":     "usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_periods 4\nnr_throttled 2\nthrottled_usec 7\n",
		"cpu.pressure": "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
		"cpuset.cpus":  "0-1\n", "cpuset.mems": "\n", "cpuset.mems.effective": "0\n",
		"memory.max": "max\n", "memory.current": "4096\n", "memory.peak": "8192\n",
		"memory.swap.max": "max\n", "memory.swap.current": "1\n",
		"memory.stat":   "anon 1\nfile 2\n",
		"memory.events": "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 5\n",
		"pids.current":  "3\n", "pids.max": "max\n",
		"io.stat":             "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
		"hugetlb.2MB.current": "2097152\n", "hugetlb.2MB.events": "max 6\n", "hugetlb.2MB.rsvd.current": "0\n",
	} {
		f.files[name] = text
	}
	g := f.group(t, "one")
	create(t, g, nil)
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	want := Stats{Hugetlb: map[string]HugetlbStats{"2MB": {Usage: 2 << 20, Failcnt: 6}}}
	want.CPU.Usage.Total, want.CPU.Usage.User, want.CPU.Usage.Kernel = 30000, 10000, 20000
	want.CPU.Throttling.Periods, want.CPU.Throttling.ThrottledPeriods, want.CPU.Throttling.ThrottledTime = 4, 2, 7000
	want.CPU.PSI = &PSI{Some: PSIData{Avg10: 1.5, Total: 9}, Full: PSIData{Total: 3}}
	want.CPUSet.CPUs, want.CPUSet.Mems = []uint16{0, 1}, []uint16{0}
	m := &want.Memory
	m.Cache, m.Raw = 2, map[string]uint64{"anon": 1, "file": 2}
	m.Usage = MemoryEntry{Limit: ^uint64(0), Usage: 4096, Max: 8192, Failcnt: 2}
	m.Swap = MemoryEntry{Limit: ^uint64(0), Usage: 4097}
	e := &m.EventCount
	e.High, e.Max, e.OOM, e.OOMKill, e.OOMGroupKill = 1, 2, 3, 4, 5
	want.Pids = PidsStats{Current: 3}
	want.Blkio.IoServiceBytesRecursive = []BlkioEntry{{8, 0, "Read", 1}, {8, 0, "Write", 2}, {8, 0, "Discard", 0}}
	want.Blkio.IoServicedRecursive = []BlkioEntry{{8, 0, "Read", 3}, {8, 0, "Write", 4}, {8, 0, "Discard", 0}}
	if d := cmp.Diff(want, s); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if n, err := g.OOMKills(); n != 4 || err != nil {
		t.Errorf("%d kills, %v", n, err)
	}
	if pids, err := g.Pids(); err != nil || !slices.Equal(pids, nil) {
		t.Errorf("pids %v, %v", pids, err)
	}
}
