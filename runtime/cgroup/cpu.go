package cgroup

import (
	"math"
	"strings"
)

// cpuV1 compiles shares, bandwidth and real-time budget. The kernel refuses a
// burst above the quota and a quota above the parent's ratio; whether period
// or quota has to go first depends on the values already there, so the writer
// repeats what was refused.
func cpuV1(c *compiler) {
	p := c.r.CPU
	if p == nil {
		return
	}
	if v := set(p.RealtimePeriod); v != 0 {
		c.put("cpu.rt_period_us", "cpu.realtimePeriod", unsigned(v))
	}
	if v := set(p.RealtimeRuntime); v != 0 {
		c.put("cpu.rt_runtime_us", "cpu.realtimeRuntime", signed(v))
	}
	if v := set(p.Shares); v != 0 {
		// The kernel would clamp silently; a limit that is not what was asked
		// for is worse than none.
		if v < 2 || v > 262144 {
			c.fail("cpu.shares", "%d: the valid range is 2-262144", v)
		}
		c.put("cpu.shares", "cpu.shares", unsigned(v))
	}
	c.idle()
	quota, period := c.bandwidth()
	if period != 0 {
		c.put("cpu.cfs_period_us", "cpu.period", unsigned(period))
	}
	if quota != 0 {
		c.put("cpu.cfs_quota_us", "cpu.quota", signed(quota))
	}
	if p.Burst != nil {
		c.put("cpu.cfs_burst_us", "cpu.burst", unsigned(*p.Burst))
	}
}

// cpuV2: cpu.max takes quota and period together.
func cpuV2(c *compiler) {
	p := c.r.CPU
	if p == nil {
		return
	}
	if set(p.RealtimePeriod) != 0 || set(p.RealtimeRuntime) != 0 {
		c.fail("cpu.realtimeRuntime", "cgroup v2 has no real-time budget")
	}
	if v := set(p.Shares); v != 0 {
		c.put("cpu.weight", "cpu.shares", unsigned(weight(v)))
	}
	c.idle()
	quota, period := c.bandwidth()
	if quota != 0 || period != 0 {
		text := "max"
		if quota > 0 {
			text = signed(quota)
		}
		if period != 0 {
			text += " " + unsigned(period) // else it stays; of a new group it is the default
		}
		c.put("cpu.max", "cpu.quota", text)
	}
	if p.Burst != nil {
		c.put("cpu.max.burst", "cpu.burst", unsigned(*p.Burst))
	}
}

func (c *compiler) idle() {
	p := c.r.CPU
	if p.Idle == nil {
		return
	}
	if *p.Idle != 0 && *p.Idle != 1 {
		c.fail("cpu.idle", "%d: give 0 or 1", *p.Idle)
	}
	c.put("cpu.idle", "cpu.idle", signed(*p.Idle))
}

// bandwidth checks quota and period against the kernel's bounds: 1 ms to 1 s
// for the period, 1 ms at least for the quota.
func (c *compiler) bandwidth() (quota int64, period uint64) {
	quota, period = set(c.r.CPU.Quota), set(c.r.CPU.Period)
	if period != 0 && (period < 1000 || period > 1000000) {
		c.fail("cpu.period", "%d: the valid range is 1000-1000000 µs", period)
	}
	if quota < 0 {
		quota = -1
	}
	if quota > 0 && quota < 1000 {
		c.fail("cpu.quota", "%d: give at least 1000 µs, or -1 for unlimited", quota)
	}
	return quota, period
}

// weight turns shares of v1 into a weight of v2. A straight line would map
// the default of one (1024) far below the default of the other (100); this
// curve goes through minimum, default and maximum of both:
// 2 → 1, 1024 → 100, 262144 → 10000.
func weight(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

// cpuset is the same on both versions.
func cpuset(c *compiler) {
	p := c.r.CPU
	if p == nil {
		return
	}
	for _, l := range []struct{ name, field, text string }{
		{"cpuset.cpus", "cpu.cpus", p.Cpus},
		{"cpuset.mems", "cpu.mems", p.Mems},
	} {
		if l.text == "" {
			continue
		}
		if strings.Trim(l.text, "0123456789,-:/ ") != "" || len(l.text) > 4000 {
			c.fail(l.field, "%q: give a list of numbers and ranges such as 0-3,7", l.text)
		}
		c.put(l.name, l.field, l.text)
	}
}
