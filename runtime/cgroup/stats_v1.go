package cgroup

import (
	"strconv"
	"strings"
)

// tick is a v1 clock tick in nanoseconds: USER_HZ is 100 on every
// architecture we build for.
const tick = 10_000_000

func (r *reader) statsV1(t *tree, s *Stats) {
	for _, c := range t.controllers {
		switch c {
		case "cpu":
			r.throttlingV1(s)
		case "cpuacct":
			r.usageV1(s)
		case "cpuset":
			r.cpusetV1(s)
		case "memory":
			r.memoryStatsV1(s)
		case "pids":
			s.Pids = r.pids()
		case "blkio":
			r.blkioStatsV1(s)
		case "hugetlb":
			r.hugetlb(s, ".usage_in_bytes", ".max_usage_in_bytes", ".failcnt")
		}
	}
}

func (r *reader) throttlingV1(s *Stats) {
	v := r.pairs("cpu.stat")
	th := &s.CPU.Throttling
	th.Periods, th.ThrottledPeriods, th.ThrottledTime = v["nr_periods"], v["nr_throttled"], v["throttled_time"]
}

func (r *reader) usageV1(s *Stats) {
	u := &s.CPU.Usage
	u.Total = r.number("cpuacct.usage")
	u.Percpu = numbers(r.text("cpuacct.usage_percpu"))
	v := r.pairs("cpuacct.stat")
	u.User, u.Kernel = v["user"]*tick, v["system"]*tick
	for i, line := range strings.Split(strings.TrimSpace(r.text("cpuacct.usage_all")), "\n") {
		if row := numbers(line); i > 0 && len(row) == 3 { // "cpu user system" below a heading
			u.PercpuUser = append(u.PercpuUser, row[1])
			u.PercpuKernel = append(u.PercpuKernel, row[2])
		}
	}
}

func (r *reader) cpusetV1(s *Stats) {
	c := &s.CPUSet
	c.CPUs, c.Mems = list(r.text("cpuset.cpus")), list(r.text("cpuset.mems"))
	c.CPUExclusive = r.number("cpuset.cpu_exclusive")
	c.MemHardwall = r.number("cpuset.mem_hardwall")
	c.MemExclusive = r.number("cpuset.mem_exclusive")
	c.MemoryMigrate = r.number("cpuset.memory_migrate")
	c.MemorySpreadPage = r.number("cpuset.memory_spread_page")
	c.MemorySpreadSlab = r.number("cpuset.memory_spread_slab")
	c.MemoryPressure = r.number("cpuset.memory_pressure")
	c.SchedLoadBalance = r.number("cpuset.sched_load_balance")
	c.SchedRelaxDomainLevel, _ = strconv.ParseInt(strings.TrimSpace(r.text("cpuset.sched_relax_domain_level")), 10, 64)
}

func (r *reader) memoryStatsV1(s *Stats) {
	m := &s.Memory
	m.Raw = r.pairs("memory.stat")
	m.Cache = m.Raw["cache"]
	entry := func(prefix string) MemoryEntry {
		return MemoryEntry{
			Limit:   r.number(prefix + "limit_in_bytes"),
			Usage:   r.number(prefix + "usage_in_bytes"),
			Max:     r.number(prefix + "max_usage_in_bytes"),
			Failcnt: r.number(prefix + "failcnt"),
		}
	}
	m.Usage = entry("memory.")
	m.Swap = entry("memory.memsw.")
	m.Kernel = entry("memory.kmem.")
	m.KernelTCP = entry("memory.kmem.tcp.")
	m.EventCount.OOMKill = r.pairs("memory.oom_control")["oom_kill"]
}

// blkioStatsV1 takes the counters of the scheduler (bfq, or cfq of old) and
// those of the throttling layer, which sees every device, where they are
// empty.
func (r *reader) blkioStatsV1(s *Stats) {
	first := func(names ...string) []BlkioEntry {
		for _, name := range names {
			if e := blkioEntries(r.text(name)); len(e) > 0 {
				return e
			}
		}
		return nil
	}
	b := &s.Blkio
	b.IoServiceBytesRecursive = first("blkio.bfq.io_service_bytes_recursive", "blkio.io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes")
	b.IoServicedRecursive = first("blkio.bfq.io_serviced_recursive", "blkio.io_serviced_recursive", "blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced")
	b.IoQueuedRecursive = first("blkio.bfq.io_queued_recursive", "blkio.io_queued_recursive")
	b.IoServiceTimeRecursive = first("blkio.bfq.io_service_time_recursive", "blkio.io_service_time_recursive")
	b.IoWaitTimeRecursive = first("blkio.bfq.io_wait_time_recursive", "blkio.io_wait_time_recursive")
	b.IoMergedRecursive = first("blkio.bfq.io_merged_recursive", "blkio.io_merged_recursive")
	b.IoTimeRecursive = first("blkio.bfq.time_recursive", "blkio.time_recursive")
	b.SectorsRecursive = first("blkio.bfq.sectors_recursive", "blkio.sectors_recursive")
}

// blkioEntries reads lines of "8:0 Read 4096" and "8:0 4096"; the sum at the
// end ("Total 4096") is skipped.
func blkioEntries(text string) []BlkioEntry {
	var out []BlkioEntry
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 2 && len(f) != 3 {
			continue
		}
		e, ok := blkioDevice(f[0])
		value, err := strconv.ParseUint(f[len(f)-1], 10, 64)
		if !ok || err != nil {
			continue
		}
		e.Value = value
		if len(f) == 3 {
			e.Op = f[1]
		}
		out = append(out, e)
	}
	return out
}

func blkioDevice(s string) (e BlkioEntry, ok bool) {
	major, minor, ok := strings.Cut(s, ":")
	var err1, err2 error
	e.Major, err1 = strconv.ParseUint(major, 10, 32)
	e.Minor, err2 = strconv.ParseUint(minor, 10, 32)
	return e, ok && err1 == nil && err2 == nil
}

// pids is the same on both versions; no limit is 0 in the statistics.
func (r *reader) pids() PidsStats {
	p := PidsStats{Current: r.number("pids.current")}
	if text := strings.TrimSpace(r.text("pids.max")); text != "max" {
		p.Limit, _ = number(text)
	}
	return p
}
