package cgroup

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// memoryV1: memory.memsw.limit_in_bytes is memory plus swap and may never be
// less than memory.limit_in_bytes. In a new group the order written here is
// right; in a used one the writer repeats what the kernel refused at first.
// Limits of kernel memory are obsolete and not written; hierarchical
// accounting is always on.
func memoryV1(c *compiler) {
	m := c.memory()
	if m == nil {
		return
	}
	limit, swap := set(m.Limit), set(m.Swap)
	if limit == -1 && swap == 0 {
		swap = -1
	}
	if limit != 0 {
		c.bytes("memory.limit_in_bytes", "memory.limit", limit, "-1")
	}
	if swap != 0 {
		f := c.bytes("memory.memsw.limit_in_bytes", "memory.swap", swap, "-1")
		f.Optional = swap == -1 || swap == limit // a kernel that does not count swap
	}
	if v := set(m.Reservation); v != 0 {
		c.bytes("memory.soft_limit_in_bytes", "memory.reservation", v, "-1")
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		c.put("memory.oom_control", "memory.disableOOMKiller", "1")
	}
	if m.Swappiness != nil {
		if *m.Swappiness > 100 {
			c.fail("memory.swappiness", "%d: the valid range is 0-100", *m.Swappiness)
		}
		c.put("memory.swappiness", "memory.swappiness", unsigned(*m.Swappiness))
	}
}

// memoryV2: memory.swap.max is swap alone, the specification's number is
// memory plus swap. Swappiness and the switch of the OOM killer have no file
// on v2 and are left out, as other runtimes do.
func memoryV2(c *compiler) {
	m := c.memory()
	if m == nil {
		return
	}
	limit, swap := set(m.Limit), set(m.Swap)
	if limit == -1 && swap == 0 {
		swap = -1
	}
	if swap != 0 {
		if swap > 0 {
			if limit <= 0 {
				c.fail("memory.swap", "%d: cannot set a swap limit without a memory limit", swap)
			}
			swap -= limit
		}
		f := c.bytes("memory.swap.max", "memory.swap", swap, "max")
		f.Optional = f.Text == "max" || f.Text == "0" // a kernel that does not count swap
	}
	if limit != 0 {
		c.bytes("memory.max", "memory.limit", limit, "max")
	}
	if v := set(m.Reservation); v != 0 {
		c.bytes("memory.low", "memory.reservation", v, "max")
	}
}

// Obsolete names the fields of r that no kernel of today has a file for, and
// that are therefore not written.
func Obsolete(r *specs.LinuxResources) []string {
	if r == nil || r.Memory == nil {
		return nil
	}
	var fields []string
	for _, f := range [...]struct {
		name string
		set  bool
	}{
		//lint:ignore SA1019 that it is obsolete is what we say
		{"kernel", r.Memory.Kernel != nil},
		{"kernelTCP", r.Memory.KernelTCP != nil},
		{"useHierarchy", r.Memory.UseHierarchy != nil && !*r.Memory.UseHierarchy},
	} {
		if f.set {
			fields = append(fields, "linux.resources.memory."+f.name)
		}
	}
	return fields
}

// memory returns the section after the checks that both versions need.
func (c *compiler) memory() *specs.LinuxMemory {
	m := c.r.Memory
	if m == nil {
		return nil
	}
	limit, swap := set(m.Limit), set(m.Swap)
	if limit < -1 {
		c.fail("memory.limit", "%d: give a number of bytes, or -1 for unlimited", limit)
	}
	if swap < -1 {
		c.fail("memory.swap", "%d: give a number of bytes, or -1 for unlimited", swap)
	}
	if swap > 0 && limit > 0 && swap < limit {
		c.fail("memory.swap", "%d: memory plus swap cannot be less than memory (%d)", swap, limit)
	}
	if swap > 0 && limit == -1 {
		c.fail("memory.swap", "%d: cannot set a swap limit without a memory limit", swap)
	}
	return m
}

// set is the value of an optional number; like other runtimes we take 0 for
// "leave as it is".
func set[T int64 | uint64](p *T) T {
	if p == nil {
		return 0
	}
	return *p
}
