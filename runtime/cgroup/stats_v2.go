package cgroup

import (
	"slices"
	"strings"
)

func (r *reader) statsV2(t *tree, s *Stats) {
	if t.has("cpu") {
		v := r.pairs("cpu.stat") // microseconds
		u, th := &s.CPU.Usage, &s.CPU.Throttling
		u.Total, u.User, u.Kernel = v["usage_usec"]*1000, v["user_usec"]*1000, v["system_usec"]*1000
		th.Periods, th.ThrottledPeriods, th.ThrottledTime = v["nr_periods"], v["nr_throttled"], v["throttled_usec"]*1000
	}
	if t.has("cpuset") {
		s.CPUSet.CPUs, s.CPUSet.Mems = r.cpuset("cpuset.cpus"), r.cpuset("cpuset.mems")
	}
	if t.has("memory") {
		r.memoryStatsV2(s)
	}
	if t.has("pids") {
		s.Pids = r.pids()
	}
	if t.has("io") {
		r.ioStatsV2(s)
	}
	if t.has("hugetlb") {
		r.hugetlb(s, ".current", "", ".events")
	}
	// The unified tree has pressure for everything, controllers or not.
	s.CPU.PSI = psi(r.pressure("cpu.pressure"))
	s.Memory.PSI = psi(r.pressure("memory.pressure"))
	s.Blkio.PSI = psi(r.pressure("io.pressure"))
}

// cpuset reads a list of which an empty one means what the parent has.
func (r *reader) cpuset(name string) []uint16 {
	if own := list(r.text(name)); own != nil {
		return own
	}
	return list(r.text(name + ".effective"))
}

// pressure reads as empty where it is switched off.
func (r *reader) pressure(name string) string {
	if r.err != nil {
		return ""
	}
	text, err := r.dir.read(name)
	if err != nil {
		return ""
	}
	return text
}

// memoryStatsV2: the swap files count swap alone; the statistics are of
// memory plus swap, as v1 and the specification have it.
func (r *reader) memoryStatsV2(s *Stats) {
	m := &s.Memory
	m.Raw = r.pairs("memory.stat")
	m.Cache = m.Raw["file"]
	m.Usage = MemoryEntry{Limit: r.number("memory.max"), Usage: r.number("memory.current"), Max: r.number("memory.peak")}
	swap := MemoryEntry{Limit: r.number("memory.swap.max"), Usage: r.number("memory.swap.current"), Max: r.number("memory.swap.peak")}
	m.Swap = MemoryEntry{Limit: sum(swap.Limit, m.Usage.Limit), Usage: sum(swap.Usage, m.Usage.Usage), Max: swap.Max}
	v := r.pairs("memory.events")
	e := &m.EventCount
	e.Low, e.High, e.Max, e.OOM, e.OOMKill, e.OOMGroupKill = v["low"], v["high"], v["max"], v["oom"], v["oom_kill"], v["oom_group_kill"]
	m.Usage.Failcnt = v["max"]
}

// sum adds; "no limit" plus something stays it.
func sum(a, b uint64) uint64 {
	if a+b < a {
		return ^uint64(0)
	}
	return a + b
}

// ioStatsV2 reads lines of "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6".
func (r *reader) ioStatsV2(s *Stats) {
	b := &s.Blkio
	for line := range strings.Lines(r.text("io.stat")) {
		device, rest, _ := strings.Cut(line, " ")
		at, ok := blkioDevice(device)
		if !ok {
			continue
		}
		for _, field := range strings.Fields(rest) {
			key, value, _ := strings.Cut(field, "=")
			e := at
			var err error
			if e.Value, err = number(value); err != nil {
				continue
			}
			to := &b.IoServiceBytesRecursive
			switch key {
			case "rbytes":
				e.Op = "Read"
			case "wbytes":
				e.Op = "Write"
			case "dbytes":
				e.Op = "Discard"
			case "rios":
				e.Op, to = "Read", &b.IoServicedRecursive
			case "wios":
				e.Op, to = "Write", &b.IoServicedRecursive
			case "dios":
				e.Op, to = "Discard", &b.IoServicedRecursive
			default:
				continue
			}
			*to = append(*to, e)
		}
	}
}

// hugetlb finds the page sizes by the names of the usage files.
func (r *reader) hugetlb(s *Stats, usage, most, fails string) {
	names, err := hugetlbSizes(r.dir.path, usage)
	if r.err == nil {
		r.err = err
	}
	for _, size := range names {
		prefix := "hugetlb." + size
		h := HugetlbStats{Usage: r.number(prefix + usage)}
		if most != "" {
			h.Max = r.number(prefix + most)
		}
		if text := r.text(prefix + fails); strings.Contains(text, " ") {
			h.Failcnt = pairs(text)["max"]
		} else {
			h.Failcnt, _ = number(text)
		}
		s.Hugetlb[size] = h
	}
}

// hugetlbSizes lists page sizes such as "2MB" from files "hugetlb.2MB.current".
func hugetlbSizes(path, suffix string) ([]string, error) {
	names, err := entries(path, func(name string, _ bool) bool {
		return strings.HasPrefix(name, "hugetlb.") && strings.HasSuffix(name, suffix) && strings.Count(name, ".") == 2
	})
	for i, name := range names {
		names[i] = strings.TrimSuffix(strings.TrimPrefix(name, "hugetlb."), suffix)
	}
	slices.Sort(names)
	return names, err
}
