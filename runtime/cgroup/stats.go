package cgroup

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// Stats are the counters of a container. The JSON form is the one that the
// events command of OCI runtimes prints.
type Stats struct {
	CPU     CPUStats                `json:"cpu"`
	CPUSet  CPUSetStats             `json:"cpuset"`
	Memory  MemoryStats             `json:"memory"`
	Pids    PidsStats               `json:"pids"`
	Blkio   BlkioStats              `json:"blkio"`
	Hugetlb map[string]HugetlbStats `json:"hugetlb"`

	// Always empty: resctrl and network interfaces are not counted here. Readers
	// of the form expect the keys.
	IntelRdt          struct{}   `json:"intel_rdt"`
	NetworkInterfaces []struct{} `json:"network_interfaces"`
}

// CPUStats counts processor time, in nanoseconds.
type CPUStats struct {
	Usage struct {
		Total        uint64   `json:"total,omitempty"`
		Percpu       []uint64 `json:"percpu,omitempty"`        // v1 only
		PercpuKernel []uint64 `json:"percpu_kernel,omitempty"` // v1 only
		PercpuUser   []uint64 `json:"percpu_user,omitempty"`   // v1 only
		Kernel       uint64   `json:"kernel"`
		User         uint64   `json:"user"`
	} `json:"usage"`
	Throttling struct {
		Periods          uint64 `json:"periods,omitempty"`
		ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
		ThrottledTime    uint64 `json:"throttledTime,omitempty"`
	} `json:"throttling"`
	PSI *PSI `json:"psi,omitempty"`
}

// CPUSetStats repeats the settings of the cpuset controller.
type CPUSetStats struct {
	CPUs                  []uint16 `json:"cpus,omitempty"`
	CPUExclusive          uint64   `json:"cpu_exclusive"`
	Mems                  []uint16 `json:"mems,omitempty"`
	MemHardwall           uint64   `json:"mem_hardwall"`
	MemExclusive          uint64   `json:"mem_exclusive"`
	MemoryMigrate         uint64   `json:"memory_migrate"`
	MemorySpreadPage      uint64   `json:"memory_spread_page"`
	MemorySpreadSlab      uint64   `json:"memory_spread_slab"`
	MemoryPressure        uint64   `json:"memory_pressure"`
	SchedLoadBalance      uint64   `json:"sched_load_balance"`
	SchedRelaxDomainLevel int64    `json:"sched_relax_domain_level"`
}

// MemoryEntry is one kind of memory, in bytes; no limit is the largest number.
type MemoryEntry struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"` // the most it ever was
	Failcnt uint64 `json:"failcnt"`
}

// MemoryStats counts memory, in bytes. Swap is memory plus swap on both
// versions.
type MemoryStats struct {
	Cache      uint64            `json:"cache,omitempty"`
	Usage      MemoryEntry       `json:"usage"`
	Swap       MemoryEntry       `json:"swap"`
	Kernel     MemoryEntry       `json:"kernel"`
	KernelTCP  MemoryEntry       `json:"kernelTCP"`
	Raw        map[string]uint64 `json:"raw,omitempty"` // memory.stat
	PSI        *PSI              `json:"psi,omitempty"`
	EventCount struct {
		Low          uint64 `json:"low,omitempty"`
		High         uint64 `json:"high,omitempty"`
		Max          uint64 `json:"max,omitempty"`
		OOM          uint64 `json:"oom,omitempty"`
		OOMKill      uint64 `json:"oom_kill,omitempty"`
		OOMGroupKill uint64 `json:"oom_group_kill,omitempty"`
	} `json:"event_count"` // v2, and OOMKill on both
}

// PidsStats counts tasks; Limit 0 is none.
type PidsStats struct {
	Current uint64 `json:"current,omitempty"`
	Limit   uint64 `json:"limit,omitempty"`
}

// BlkioEntry is one counter of one device.
type BlkioEntry struct {
	Major uint64 `json:"major,omitempty"`
	Minor uint64 `json:"minor,omitempty"`
	Op    string `json:"op,omitempty"`
	Value uint64 `json:"value,omitempty"`
}

// BlkioStats counts what went to and from block devices.
type BlkioStats struct {
	IoServiceBytesRecursive []BlkioEntry `json:"ioServiceBytesRecursive,omitempty"`
	IoServicedRecursive     []BlkioEntry `json:"ioServicedRecursive,omitempty"`
	IoQueuedRecursive       []BlkioEntry `json:"ioQueueRecursive,omitempty"`
	IoServiceTimeRecursive  []BlkioEntry `json:"ioServiceTimeRecursive,omitempty"`
	IoWaitTimeRecursive     []BlkioEntry `json:"ioWaitTimeRecursive,omitempty"`
	IoMergedRecursive       []BlkioEntry `json:"ioMergedRecursive,omitempty"`
	IoTimeRecursive         []BlkioEntry `json:"ioTimeRecursive,omitempty"`
	SectorsRecursive        []BlkioEntry `json:"sectorsRecursive,omitempty"`
	PSI                     *PSI         `json:"psi,omitempty"`
}

// HugetlbStats counts huge pages of one size, in bytes.
type HugetlbStats struct {
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// PSI is pressure stall information: how long something had to wait.
type PSI struct {
	Some PSIData `json:"some"`
	Full PSIData `json:"full"`
}

// PSIData are shares of time in percent over 10, 60 and 300 seconds, and the
// total in microseconds.
type PSIData struct {
	Avg10  float64 `json:"avg10"`
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
	Total  uint64  `json:"total"`
}

func (g *group) Stats() (Stats, error) {
	s := Stats{Hugetlb: map[string]HugetlbStats{}}
	for i := range g.trees {
		t := &g.trees[i]
		d := g.dir(t.path)
		r := reader{dir: d}
		if t.unified {
			r.statsV2(t, &s)
		} else {
			r.statsV1(t, &s)
		}
		d.close()
		if r.err != nil {
			return Stats{}, fault.Op("cgroup.stats", t.path, r.err)
		}
	}
	return s, nil
}

// reader reads the files of one directory; the first error stays. A file that
// this kernel does not have reads as empty.
type reader struct {
	dir *dir
	err error
}

func (r *reader) text(name string) string {
	if r.err != nil {
		return ""
	}
	text, err := r.dir.read(name)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
		r.err = fault.Op("read", name, err)
	}
	return text
}

// number is 0 for a missing file and the largest number for "max".
func (r *reader) number(name string) uint64 {
	v, _ := number(r.text(name))
	return v
}

func (r *reader) pairs(name string) map[string]uint64 { return pairs(r.text(name)) }

// number reads a file with one number.
func (d *dir) number(name string) (uint64, error) {
	text, err := d.read(name)
	if err != nil {
		return 0, err
	}
	return number(text)
}

// number reads a decimal number or "max". What is negative, as unlimited may
// be on v1, is the largest number too.
func number(text string) (uint64, error) {
	text = strings.TrimSpace(text)
	if text == "max" || (strings.HasPrefix(text, "-") && strings.Trim(text[1:], "0123456789") == "") && len(text) > 1 {
		return math.MaxUint64, nil
	}
	return strconv.ParseUint(text, 10, 64)
}

// pairs reads lines of "key value"; others are skipped.
func pairs(text string) map[string]uint64 {
	out := make(map[string]uint64)
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok {
			continue
		}
		if v, err := number(value); err == nil {
			out[key] = v
		}
	}
	return out
}

// numbers reads a line of numbers.
func numbers(text string) []uint64 {
	var out []uint64
	for _, f := range strings.Fields(text) {
		v, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return out
		}
		out = append(out, v)
	}
	return out
}

// list reads a list of CPUs or nodes, "0-3,7".
func list(text string) []uint16 {
	var out []uint16
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 16)
		to, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || from > to {
			return nil
		}
		if len(out) > math.MaxUint16 {
			return nil
		}
		for v := from; v <= to; v++ {
			out = append(out, uint16(v))
		}
	}
	return out
}

// psi reads a pressure file; nil if it says nothing.
//
//	some avg10=0.00 avg60=0.00 avg300=0.00 total=0
func psi(text string) *PSI {
	var p PSI
	found := false
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(line, " ")
		var to *PSIData
		switch kind {
		case "some":
			to = &p.Some
		case "full":
			to = &p.Full
		default:
			continue
		}
		found = true
		for _, field := range strings.Fields(rest) {
			key, value, _ := strings.Cut(field, "=")
			share, _ := strconv.ParseFloat(value, 64)
			if math.IsNaN(share) || math.IsInf(share, 0) {
				share = 0 // JSON has no word for it
			}
			switch key {
			case "avg10":
				to.Avg10 = share
			case "avg60":
				to.Avg60 = share
			case "avg300":
				to.Avg300 = share
			case "total":
				to.Total, _ = strconv.ParseUint(value, 10, 64)
			}
		}
	}
	if !found {
		return nil
	}
	return &p
}
