package cgroup

import (
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
)

func (g *group) Apply(r *specs.LinuxResources) error {
	const op = "cgroup.update"
	if r == nil {
		return nil
	}
	full, err := g.complete(r)
	if err != nil {
		return fault.Op(op, g.name(), err)
	}
	w, err := g.compile(full, true)
	if err != nil {
		return fault.Op(op, g.name(), err)
	}
	if r.Memory != nil && r.Memory.CheckBeforeUpdate != nil && *r.Memory.CheckBeforeUpdate {
		if err := g.checkUsage(r.Memory); err != nil {
			return fault.Op(op, g.name(), err)
		}
	}
	if err := g.tellUnit(g.findUnit(), w, r); err != nil {
		return fault.Op(op, g.name(), err)
	}
	dirs, done := g.dirs()
	defer done()
	if err := g.apply(w.files, dirs); err != nil {
		return fault.Op(op, g.name(), err)
	}
	if w.rules != nil {
		return fault.Op(op, g.name(), g.confine(w.rules, dirs[len(dirs)-1]))
	}
	return nil
}

// complete adds to r what it does not name and what nevertheless has to be
// written, because on v2 it shares a file with something that r names, or is
// counted together with it.
func (g *group) complete(r *specs.LinuxResources) (*specs.LinuxResources, error) {
	out := *r
	var err error
	if t := g.find("cpu"); t != nil && t.unified && r.CPU != nil {
		out.CPU, err = g.completeCPU(t, *r.CPU)
	}
	if t := g.find("memory"); err == nil && t != nil && t.unified && r.Memory != nil {
		out.Memory, err = g.completeMemory(t, *r.Memory)
	}
	return &out, err
}

// completeCPU: cpu.max takes a quota alone, but a period only after a quota.
func (g *group) completeCPU(t *tree, p specs.LinuxCPU) (*specs.LinuxCPU, error) {
	if set(p.Period) == 0 || set(p.Quota) != 0 {
		return &p, nil
	}
	d := g.dir(t.path)
	defer d.close()
	text, err := d.read("cpu.max")
	if err != nil {
		return nil, fault.Op("read cpu.max", t.path, err)
	}
	word, _, _ := strings.Cut(text, " ")
	if quota, err := strconv.ParseInt(word, 10, 64); err == nil {
		p.Quota = &quota // else it is "max", which is what compiling assumes
	}
	return &p, nil
}

// completeMemory: memory.swap.max is swap alone, what callers speak of is
// memory plus swap. The one that is not named keeps its value in their terms,
// as it does on v1.
func (g *group) completeMemory(t *tree, m specs.LinuxMemory) (*specs.LinuxMemory, error) {
	limit, swap := set(m.Limit), set(m.Swap)
	if limit == -1 || swap == -1 || (limit == 0) == (swap == 0) {
		return &m, nil
	}
	d := g.dir(t.path)
	defer d.close()
	memory, err := d.limit("memory.max")
	if err != nil {
		return nil, err
	}
	switch {
	case swap == 0 && memory >= 0:
		only, err := d.limit("memory.swap.max")
		if err != nil || only < 0 {
			return &m, nil //nolint:nilerr // swap is not counted here, or has no limit: so it stays
		}
		sum := memory + only
		m.Swap = &sum
	case limit == 0 && memory >= 0:
		m.Limit = &memory
	}
	return &m, nil
}

// limit reads a file with a size, -1 for "max".
func (d *dir) limit(name string) (int64, error) {
	text, err := d.read(name)
	if err != nil {
		return 0, fault.Op("read "+name, d.path, err)
	}
	if text = strings.TrimSpace(text); text == "max" {
		return -1, nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	return v, fault.Op("read "+name, d.path, err)
}

// checkUsage is checkBeforeUpdate: on v2 the kernel would take a limit below
// the usage and kill. On v1 it refuses by itself.
func (g *group) checkUsage(m *specs.LinuxMemory) error {
	t := g.find("memory")
	if t == nil || !t.unified {
		return nil
	}
	d := g.dir(t.path)
	defer d.close()
	usage, err := d.number("memory.current")
	if err != nil {
		return nil //nolint:nilerr // a courtesy: without the number the write decides
	}
	if v := set(m.Swap); v > 0 && uint64(v) <= usage {
		return fault.New(fault.Conflict, "rejecting memory+swap limit %d <= usage %d", v, usage)
	}
	if v := set(m.Limit); v > 0 && uint64(v) <= usage {
		return fault.New(fault.Conflict, "rejecting memory limit %d <= usage %d", v, usage)
	}
	return nil
}
