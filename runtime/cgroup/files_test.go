package cgroup

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
)

// lines prints files the way the tables below have them. The default device
// list is left out; TestDeviceRules has it.
func lines(files []File) []string {
	out := []string{}
	for _, f := range files {
		if f.Controller == "devices" {
			continue
		}
		s := f.Controller + " " + f.Name + " = " + f.Text
		if f.Optional {
			s += " (optional)"
		}
		if f.Alt != nil {
			s += " | " + f.Alt.Name + " = " + f.Alt.Text
		}
		out = append(out, s)
	}
	return out
}

func TestFiles(t *testing.T) {
	blockDevice := specs.LinuxBlockIODevice{Major: 8, Minor: 16}
	weighted := specs.LinuxWeightDevice{LinuxBlockIODevice: blockDevice, Weight: ptr(uint16(300))}
	rate := func(r uint64) []specs.LinuxThrottleDevice {
		return []specs.LinuxThrottleDevice{{LinuxBlockIODevice: blockDevice, Rate: r}}
	}
	mem := func(limit, swap int64) *specs.LinuxResources {
		m := &specs.LinuxMemory{}
		if limit != 0 {
			m.Limit = &limit
		}
		if swap != 0 {
			m.Swap = &swap
		}
		return &specs.LinuxResources{Memory: m}
	}
	for _, tt := range []struct {
		name   string
		r      *specs.LinuxResources
		v1, v2 []string
	}{
		{name: "nothing", r: nil},
		{name: "empty sections", r: &specs.LinuxResources{Memory: &specs.LinuxMemory{}, CPU: &specs.LinuxCPU{}, Pids: &specs.LinuxPids{}, BlockIO: &specs.LinuxBlockIO{}, Network: &specs.LinuxNetwork{}}},
		{
			name: "memory", r: mem(1<<20, 0),
			v1: []string{"memory memory.limit_in_bytes = 1048576"},
			v2: []string{"memory memory.max = 1048576"},
		},
		{
			name: "memory and swap", r: mem(1<<20, 3<<20),
			v1: []string{"memory memory.limit_in_bytes = 1048576", "memory memory.memsw.limit_in_bytes = 3145728"},
			v2: []string{"memory memory.swap.max = 2097152", "memory memory.max = 1048576"},
		},
		{
			name: "no swap", r: mem(1<<20, 1<<20),
			v1: []string{"memory memory.limit_in_bytes = 1048576", "memory memory.memsw.limit_in_bytes = 1048576 (optional)"},
			v2: []string{"memory memory.swap.max = 0 (optional)", "memory memory.max = 1048576"},
		},
		{
			name: "unlimited swap", r: mem(1<<20, -1),
			v1: []string{"memory memory.limit_in_bytes = 1048576", "memory memory.memsw.limit_in_bytes = -1 (optional)"},
			v2: []string{"memory memory.swap.max = max (optional)", "memory memory.max = 1048576"},
		},
		{
			name: "unlimited memory means unlimited swap", r: mem(-1, 0),
			v1: []string{"memory memory.limit_in_bytes = -1", "memory memory.memsw.limit_in_bytes = -1 (optional)"},
			v2: []string{"memory memory.swap.max = max (optional)", "memory memory.max = max"},
		},
		{
			name: "memory, the rest", r: &specs.LinuxResources{Memory: &specs.LinuxMemory{Reservation: ptr(int64(4096)), Swappiness: ptr(uint64(0)), DisableOOMKiller: ptr(true), KernelTCP: ptr(int64(1)), UseHierarchy: ptr(true)}},
			v1: []string{"memory memory.soft_limit_in_bytes = 4096", "memory memory.oom_control = 1", "memory memory.swappiness = 0"},
			v2: []string{"memory memory.low = 4096"},
		},
		{
			name: "cpu", r: &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(1024)), Quota: ptr(int64(150000)), Period: ptr(uint64(100000)), Burst: ptr(uint64(5000)), Idle: ptr(int64(1)), Cpus: "0-1,3", Mems: "0"}},
			v1: []string{
				"cpuset cpuset.cpus = 0-1,3", "cpuset cpuset.mems = 0",
				"cpu cpu.shares = 1024", "cpu cpu.idle = 1", "cpu cpu.cfs_period_us = 100000", "cpu cpu.cfs_quota_us = 150000", "cpu cpu.cfs_burst_us = 5000",
			},
			v2: []string{
				"cpuset cpuset.cpus = 0-1,3", "cpuset cpuset.mems = 0",
				"cpu cpu.weight = 100", "cpu cpu.idle = 1", "cpu cpu.max = 150000 100000", "cpu cpu.max.burst = 5000",
			},
		},
		{
			name: "quota alone", r: &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(1000))}},
			v1: []string{"cpu cpu.cfs_quota_us = 1000"},
			v2: []string{"cpu cpu.max = 1000"},
		},
		{
			name: "no quota", r: &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(-1)), Period: ptr(uint64(5000))}},
			v1: []string{"cpu cpu.cfs_period_us = 5000", "cpu cpu.cfs_quota_us = -1"},
			v2: []string{"cpu cpu.max = max 5000"},
		},
		{
			name: "pids 0", r: &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(0))}},
			v1: []string{"pids pids.max = 1"}, v2: []string{"pids pids.max = 1"},
		},
		{
			name: "pids unlimited", r: &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(-1))}},
			v1: []string{"pids pids.max = max"}, v2: []string{"pids pids.max = max"},
		},
		{
			name: "block devices", r: &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
				Weight: ptr(uint16(10)), WeightDevice: []specs.LinuxWeightDevice{weighted},
				ThrottleReadBpsDevice: rate(1), ThrottleWriteBpsDevice: rate(0), ThrottleReadIOPSDevice: rate(3), ThrottleWriteIOPSDevice: rate(4),
			}},
			v1: []string{
				"blkio blkio.weight = 10 | blkio.bfq.weight = 10",
				"blkio blkio.weight_device = 8:16 300 | blkio.bfq.weight_device = 8:16 300",
				"blkio blkio.throttle.read_bps_device = 8:16 1", "blkio blkio.throttle.write_bps_device = 8:16 0",
				"blkio blkio.throttle.read_iops_device = 8:16 3", "blkio blkio.throttle.write_iops_device = 8:16 4",
			},
			v2: []string{
				"io io.bfq.weight = 10 | io.weight = 1", "io io.bfq.weight = 8:16 300 | io.weight = 8:16 2930",
				"io io.max = 8:16 rbps=1", "io io.max = 8:16 wbps=max", "io io.max = 8:16 riops=3", "io io.max = 8:16 wiops=4",
			},
		},
		{
			name: "huge pages", r: &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 1 << 40}}},
			v1: []string{"hugetlb hugetlb.2MB.limit_in_bytes = 1099511627776", "hugetlb hugetlb.2MB.rsvd.limit_in_bytes = 1099511627776 (optional)"},
			v2: []string{"hugetlb hugetlb.2MB.max = 1099511627776", "hugetlb hugetlb.2MB.rsvd.max = 1099511627776 (optional)"},
		},
		{
			name: "rdma", r: &specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"mlx5_1": {HcaHandles: ptr(uint32(2)), HcaObjects: ptr(uint32(20))}, "mlx4_0": {HcaObjects: ptr(uint32(1))}, "none": {}}},
			v1: []string{"rdma rdma.max = mlx4_0 hca_object=1", "rdma rdma.max = mlx5_1 hca_handle=2 hca_object=20"},
			v2: []string{"rdma rdma.max = mlx4_0 hca_object=1", "rdma rdma.max = mlx5_1 hca_handle=2 hca_object=20"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for v, want := range map[Version][]string{V1: tt.v1, V2: tt.v2} {
				files, err := Files(tt.r, v)
				if err != nil {
					t.Fatal(v, err)
				}
				if want == nil {
					want = []string{}
				}
				if d := cmp.Diff(want, lines(files)); d != "" {
					t.Errorf("%s (-want +got):\n%s", v, d)
				}
			}
		})
	}
}

func TestFilesOneVersion(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    Version
		r    *specs.LinuxResources
		want []string
	}{
		{"real time", V1, &specs.LinuxResources{CPU: &specs.LinuxCPU{RealtimePeriod: ptr(uint64(1000000)), RealtimeRuntime: ptr(int64(950000))}}, []string{"cpu cpu.rt_period_us = 1000000", "cpu cpu.rt_runtime_us = 950000"}},
		{"network", V1, &specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(0x100001)), Priorities: []specs.LinuxInterfacePriority{{Name: "eth0", Priority: 5}}}}, []string{"net_cls net_cls.classid = 1048577", "net_prio net_prio.ifpriomap = eth0 5"}},
		{"leaf weight", V1, &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{LeafWeight: ptr(uint16(100))}}, []string{"blkio blkio.leaf_weight = 100"}},
		{"unified", V2, &specs.LinuxResources{Unified: map[string]string{"memory.high": "1000", "io.max": "8:0 rbps=1\n8:16 wbps=2\n", "cgroup.max.depth": "3"}}, []string{"cgroup cgroup.max.depth = 3", "io io.max = 8:0 rbps=1", "io io.max = 8:16 wbps=2", "memory memory.high = 1000"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files, err := Files(tt.r, tt.v)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, lines(files)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestFilesRefuse(t *testing.T) {
	cpu := func(c specs.LinuxCPU) *specs.LinuxResources { return &specs.LinuxResources{CPU: &c} }
	mem := func(m specs.LinuxMemory) *specs.LinuxResources { return &specs.LinuxResources{Memory: &m} }
	huge := func(s string) *specs.LinuxResources {
		return &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: s}}}
	}
	both := []Version{V1, V2}
	for _, tt := range []struct {
		want string
		in   []Version
		r    *specs.LinuxResources
	}{
		{"invalid configuration", []Version{V1}, &specs.LinuxResources{Unified: map[string]string{"memory.max": "1"}}},
		{"memory.limit: -2", both, mem(specs.LinuxMemory{Limit: ptr(int64(-2))})},
		{"memory.swap: 5", both, mem(specs.LinuxMemory{Limit: ptr(int64(6)), Swap: ptr(int64(5))})},
		{"memory.swap: -7", both, mem(specs.LinuxMemory{Swap: ptr(int64(-7))})},
		{"without a memory limit", both, mem(specs.LinuxMemory{Limit: ptr(int64(-1)), Swap: ptr(int64(5))})},
		{"without a memory limit", []Version{V2}, mem(specs.LinuxMemory{Swap: ptr(int64(5))})},
		{"memory.swappiness: 101", []Version{V1}, mem(specs.LinuxMemory{Swappiness: ptr(uint64(101))})},
		{"memory.reservation: -9", both, mem(specs.LinuxMemory{Reservation: ptr(int64(-9))})},
		{"cpu.shares: 1", []Version{V1}, cpu(specs.LinuxCPU{Shares: ptr(uint64(1))})},
		{"cpu.shares: 262145", []Version{V1}, cpu(specs.LinuxCPU{Shares: ptr(uint64(262145))})},
		{"cpu.quota: 999", both, cpu(specs.LinuxCPU{Quota: ptr(int64(999))})},
		{"cpu.period: 999", both, cpu(specs.LinuxCPU{Period: ptr(uint64(999))})},
		{"cpu.period: 1000001", both, cpu(specs.LinuxCPU{Period: ptr(uint64(1000001))})},
		{"cpu.idle: 2", both, cpu(specs.LinuxCPU{Idle: ptr(int64(2))})},
		{`cpu.cpus: "0;rm"`, both, cpu(specs.LinuxCPU{Cpus: "0;rm"})},
		{`cpu.mems: "0\n1"`, both, cpu(specs.LinuxCPU{Mems: "0\n1"})},
		{"real-time", []Version{V2}, cpu(specs.LinuxCPU{RealtimeRuntime: ptr(int64(1))})},
		{`hugepageLimits[0].pageSize: "../2MB"`, both, huge("../2MB")},
		{`hugepageLimits[0].pageSize: "2MBB"`, both, huge("2MBB")},
		{`hugepageLimits[0].pageSize: "02MB"`, both, huge("02MB")},
		{`hugepageLimits[0].pageSize: "MB"`, both, huge("MB")},
		{"blockIO.weight: 9", both, &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(9))}}},
		{"blockIO.leafWeight", []Version{V2}, &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{LeafWeight: ptr(uint16(10))}}},
		{"throttleReadBpsDevice[0].major: -1", both, &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: -1}}}}}},
		{"net_cls", []Version{V2}, &specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(1))}}},
		{"name of an interface", []Version{V1}, &specs.LinuxResources{Network: &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "a b"}}}}},
		{"name of a device", both, &specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"a b": {}}}},
		{"no slashes", []Version{V2}, &specs.LinuxResources{Unified: map[string]string{"../memory.max": "1"}}},
		{"CONTROLLER.PARAMETER", []Version{V2}, &specs.LinuxResources{Unified: map[string]string{"memory": "1"}}},
		{"is no limit", []Version{V2}, &specs.LinuxResources{Unified: map[string]string{"cgroup.procs": "1"}}},
		{"is no limit", []Version{V2}, &specs.LinuxResources{Unified: map[string]string{"cgroup.kill": "1"}}},
		{"unified.io.cost.qos: only the root", []Version{V2}, &specs.LinuxResources{Unified: map[string]string{"io.cost.qos": "8:0 enable=1"}}},
		{"blockIO.weightDevice[1].weight: 1001", both, &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{{}, {Weight: ptr(uint16(1001))}}}}},
		{"blockIO.weightDevice[0].leafWeight", []Version{V2}, &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{{LeafWeight: ptr(uint16(100))}}}}},
		{"network.priorities[1].name", []Version{V1}, &specs.LinuxResources{Network: &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "lo"}, {}}}}},
	} {
		for _, v := range tt.in {
			t.Run(fmt.Sprint(v, " ", tt.want), func(t *testing.T) {
				files, err := Files(tt.r, v)
				if err == nil {
					t.Fatalf("got %v, want an error", lines(files))
				}
				if !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "linux.resources.") {
					t.Errorf("got %q, want linux.resources. and %q", err, tt.want)
				}
				if !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.Unsupported) {
					t.Errorf("%v has class %v", err, fault.KindOf(err))
				}
			})
		}
	}
	if _, err := Files(nil, Hybrid); err == nil {
		t.Error("files of a hybrid layout: want an error")
	}
}

func TestObsolete(t *testing.T) {
	r := limits()
	if got := Obsolete(r); got != nil {
		t.Errorf("got %v", got)
	}
	//lint:ignore SA1019 it is what the test is about
	r.Memory.Kernel, r.Memory.KernelTCP, r.Memory.UseHierarchy = ptr(int64(1)), ptr(int64(1)), ptr(true)
	if got := Obsolete(r); len(got) != 2 || got[0] != "linux.resources.memory.kernel" {
		t.Errorf("got %v", got)
	}
	if _, err := Files(r, V1); err != nil {
		t.Error(err)
	}
}

func TestWeight(t *testing.T) {
	for shares, want := range map[uint64]uint64{1: 1, 2: 1, 3: 2, 256: 35, 512: 59, 1024: 100, 2048: 174, 4096: 303, 65536: 3023, 262143: 10000, 262144: 10000, 1 << 40: 10000} {
		if got := weight(shares); got != want {
			t.Errorf("weight(%d) = %d, want %d", shares, got, want)
		}
	}
	for s := uint64(2); s < 262144; s += 7 {
		if weight(s) > weight(s+7) {
			t.Fatalf("weight falls between %d and %d", s, s+7)
		}
	}
}
