package cgroup

import (
	"math"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/cgroup/systemd"
)

// properties says in systemd's words, systemd.resource-control(5), what files
// say. Files that it has no word for it leaves alone.
func properties(files []File) []systemd.Property {
	var out []systemd.Property
	var quota int64
	var period uint64
	idle := false
	add := func(name string, value any) { out = append(out, systemd.Property{Name: name, Value: value}) }
	for _, f := range files {
		name, ok := properNames(f.Name)
		switch {
		case ok:
			if v, err := number(f.Text); err == nil {
				add(name, v)
			}
		case f.Name == "io.bfq.weight" && f.Alt != nil && !strings.Contains(f.Text, " "):
			v, _ := number(f.Alt.Text) // systemd's scale is that of io.weight
			add("IOWeight", v)
		case f.Name == "cpu.idle":
			idle = f.Text == "1"
		case f.Name == "cpuset.cpus":
			add("AllowedCPUs", bits(f.Text))
		case f.Name == "cpuset.mems":
			add("AllowedMemoryNodes", bits(f.Text))
		case f.Name == "cpu.max":
			q, p, _ := strings.Cut(f.Text, " ")
			quota, period = -1, uint64(100000)
			if v, err := strconv.ParseInt(q, 10, 64); err == nil {
				quota = v
			}
			if v, err := strconv.ParseUint(p, 10, 64); err == nil {
				period = v
			}
		case f.Name == "cpu.cfs_quota_us":
			quota, _ = strconv.ParseInt(f.Text, 10, 64)
		case f.Name == "cpu.cfs_period_us":
			period, _ = strconv.ParseUint(f.Text, 10, 64)
		}
	}
	if quota != 0 && period != 0 {
		add("CPUQuotaPeriodUSec", period)
		add("CPUQuotaPerSecUSec", perSecond(quota, period))
	}
	if idle {
		out = idleWeight(out)
	}
	return out
}

// properNames are the properties that take the number of a file as it is.
func properNames(file string) (string, bool) {
	switch file {
	case "memory.max":
		return "MemoryMax", true
	case "memory.high":
		return "MemoryHigh", true
	case "memory.low":
		return "MemoryLow", true
	case "memory.min":
		return "MemoryMin", true
	case "memory.swap.max":
		return "MemorySwapMax", true
	case "memory.zswap.max":
		return "MemoryZSwapMax", true
	case "memory.limit_in_bytes":
		return "MemoryLimit", true
	case "cpu.weight":
		return "CPUWeight", true
	case "cpu.shares":
		return "CPUShares", true
	case "pids.max":
		return "TasksMax", true
	case "io.weight":
		return "IOWeight", true
	case "blkio.weight":
		return "BlockIOWeight", true
	}
	return "", false
}

// since is the first version of systemd that knows a property, where there may
// be older ones; they leave what it stands for alone.
func since(p systemd.Property) int {
	switch p.Name {
	case "CPUWeight":
		if p.Value == uint64(0) {
			return 252
		}
	case "CPUQuotaPeriodUSec":
		return 242
	case "AllowedCPUs", "AllowedMemoryNodes":
		return 244
	case "MemoryZSwapMax":
		return 253
	}
	return 0
}

// perSecond is a quota for each second. systemd counts in percent of a CPU:
// what is not a whole number of them is rounded up, so that it never takes
// away what the group's own file grants.
func perSecond(quota int64, period uint64) uint64 {
	const second, percent = 1_000_000, 10_000
	if quota < 0 || uint64(quota) > math.MaxUint64/second {
		return math.MaxUint64 // infinity
	}
	v := uint64(quota) * second / period
	return (v + percent - 1) / percent * percent
}

// idleWeight: weight 0 is systemd's word for cpu.idle, in place of another.
func idleWeight(props []systemd.Property) []systemd.Property {
	for i := range props {
		if props[i].Name == "CPUWeight" {
			props[i].Value = uint64(0)
			return props
		}
	}
	return append(props, systemd.Property{Name: "CPUWeight", Value: uint64(0)})
}

// bits is a list of CPUs or nodes as systemd has it: a bit for each, the
// lowest first.
func bits(text string) []byte {
	var out []byte
	for _, n := range list(text) {
		for len(out) <= int(n)/8 {
			out = append(out, 0)
		}
		out[n/8] |= 1 << (n % 8)
	}
	return out
}

// deviceProperties says rules as a list of what is allowed, all that systemd
// knows. On v2 it has a program of its own beside ours, both must agree, and
// ours is exact: so more may be allowed than meant. On v1 systemd writes the
// same file as we, and after it has been reloaded its list is what counts.
func deviceProperties(rules []Rule, v Version) ([]systemd.Property, error) {
	rules = effective(rules)
	allow := []systemd.Pair{}
	for i, r := range rules {
		if r.all() && r.Allow {
			if v == V1 && len(rules) > 1 {
				return nil, fault.New(fault.Unsupported, "linux.resources.devices: systemd cannot deny some devices of all on cgroup v1; list those that are allowed")
			}
			return []systemd.Property{{Name: "DevicePolicy", Value: "auto"}, {Name: "DeviceAllow", Value: allow}}, nil
		}
		if !r.Allow {
			if v == V1 && denies(rules[:i], r) {
				return nil, fault.New(fault.Unsupported, "linux.resources.devices: systemd cannot take back %s on cgroup v1; list those that are allowed", r)
			}
			continue
		}
		allow = append(allow, systemd.Pair{deviceName(r), r.Access.String()})
	}
	return []systemd.Property{{Name: "DevicePolicy", Value: "strict"}, {Name: "DeviceAllow", Value: allow}}, nil
}

// denies reports whether r takes back something that rules allow.
func denies(rules []Rule, r Rule) bool {
	meet := func(a, b int64) bool { return a == -1 || b == -1 || a == b }
	for _, o := range rules {
		if o.Allow && (o.Type == r.Type || r.Type == 'a') && meet(o.Major, r.Major) && meet(o.Minor, r.Minor) && o.Access&r.Access != 0 {
			return true
		}
	}
	return false
}

// deviceName is how DeviceAllow calls what a rule is about. It has no word
// for one minor number of every major.
func deviceName(r Rule) string {
	kind := map[byte]string{'b': "block", 'c': "char"}[r.Type]
	switch {
	case r.Major == -1:
		return kind + "-*"
	case r.Minor == -1:
		return kind + "-" + signed(r.Major)
	}
	return "/dev/" + kind + "/" + signed(r.Major) + ":" + signed(r.Minor)
}
