package main

import (
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/resctrl"
)

// maxResources bounds what update reads.
const maxResources = 1 << 20

// cmdUpdate changes limits; what no flag names stays.
func cmdUpdate(a *app) func() (int, error) {
	file := a.flags.StringP("resources", "r", "", "file with linux.resources as JSON, - for stdin; other flags are then ignored")
	for _, f := range updateFlags {
		a.flags.String(f.name, "", f.usage)
	}
	a.flags.String("l3-cache-schema", "", "share of the L3 cache, as resctrl takes it")
	a.flags.String("mem-bw-schema", "", "share of the memory bandwidth, as resctrl takes it")
	for _, name := range obsolete {
		a.flags.String(name, "", "")
		a.flags.Hide(name)
	}
	return func() (int, error) {
		m, err := a.rt.Cgroup(a.args[0])
		if err != nil {
			return 1, err
		}
		r := &specs.LinuxResources{}
		if *file != "" {
			err = readResources(*file, r)
		} else {
			err = a.resources(r)
		}
		if err != nil {
			return 1, err
		}
		caches, err := a.caches()
		if err != nil {
			return 1, err
		}
		if err := m.Apply(r); err != nil || len(caches) == 0 {
			return 0, err
		}
		return 0, a.rt.SetCaches(a.args[0], caches)
	}
}

func readResources(path string, r *specs.LinuxResources) error {
	in := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxResources))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, r); err != nil {
		return fault.New(fault.Invalid, "resources %s: %w", path, err)
	}
	return nil
}

// resources turns the flags that are set into resources.
func (a *app) resources(r *specs.LinuxResources) error {
	for _, name := range obsolete {
		if a.flags.Changed(name) {
			a.log.write("warning", "--"+name+" is ignored: the kernel has no such limit any more")
		}
	}
	for _, f := range updateFlags {
		if !a.flags.Changed(f.name) {
			continue
		}
		if err := f.set(r, a.flags.Lookup(f.name).Value.String()); err != nil {
			return fault.New(fault.Invalid, "--%s: %w", f.name, err)
		}
	}
	return nil
}

// obsolete are flags that callers may still give.
var obsolete = [...]string{"kernel-memory", "kernel-memory-tcp"}

// caches are the schemata that the flags name.
func (a *app) caches() (lines []resctrl.Line, err error) {
	for _, f := range [...]struct{ name, kind string }{
		{"l3-cache-schema", "Intel RDT/CAT: l3 cache"},
		{"mem-bw-schema", "Intel RDT/MBA: memory bandwidth"},
	} {
		if !a.flags.Changed(f.name) {
			continue
		}
		switch root, err := resctrl.Mounted(); {
		case err != nil:
			return nil, err
		case root == "":
			return nil, fault.New(fault.Unsupported, "--%s: %s schema is not enabled: resctrl is not mounted on this machine", f.name, f.kind)
		}
		text := a.flags.Lookup(f.name).Value.String()
		if strings.Contains(text, "\n") {
			return nil, fault.New(fault.Invalid, "--%s: %q has a line break", f.name, text)
		}
		lines = append(lines, resctrl.Line{Field: "--" + f.name, Text: text})
	}
	return lines, nil
}

// updateFlags are the flags of update and what each sets.
var updateFlags = [...]struct {
	name, usage string
	set         func(r *specs.LinuxResources, v string) error
}{
	{"blkio-weight", "share of block I/O, 10 to 1000", func(r *specs.LinuxResources, v string) error {
		n, err := strconv.ParseUint(v, 10, 16)
		r.BlockIO = &specs.LinuxBlockIO{Weight: ref(uint16(n))}
		return err
	}},
	{"cpu-period", "CFS period in microseconds", func(r *specs.LinuxResources, v string) error { return parse(&cpu(r).Period, v, parseUnsigned) }},
	{"cpu-quota", "CFS quota in microseconds", func(r *specs.LinuxResources, v string) error { return parse(&cpu(r).Quota, v, parseSigned) }},
	{"cpu-burst", "CFS burst in microseconds", func(r *specs.LinuxResources, v string) error { return parse(&cpu(r).Burst, v, parseUnsigned) }},
	{"cpu-share", "share of CPU time", func(r *specs.LinuxResources, v string) error { return parse(&cpu(r).Shares, v, parseUnsigned) }},
	{"cpu-rt-period", "real-time period in microseconds", func(r *specs.LinuxResources, v string) error {
		return parse(&cpu(r).RealtimePeriod, v, parseUnsigned)
	}},
	{"cpu-rt-runtime", "real-time runtime in microseconds", func(r *specs.LinuxResources, v string) error {
		return parse(&cpu(r).RealtimeRuntime, v, parseSigned)
	}},
	{"cpu-idle", "1: run only when nobody else wants to", func(r *specs.LinuxResources, v string) error { return parse(&cpu(r).Idle, v, parseSigned) }},
	{"cpuset-cpus", "CPUs to use", func(r *specs.LinuxResources, v string) error { cpu(r).Cpus = v; return nil }},
	{"cpuset-mems", "memory nodes to use", func(r *specs.LinuxResources, v string) error { cpu(r).Mems = v; return nil }},
	{"memory", "memory limit, as 50M; -1: none", func(r *specs.LinuxResources, v string) error { return parse(&memory(r).Limit, v, parseSize) }},
	{"memory-reservation", "soft memory limit", func(r *specs.LinuxResources, v string) error { return parse(&memory(r).Reservation, v, parseSize) }},
	{"memory-swap", "memory and swap together; -1: no limit", func(r *specs.LinuxResources, v string) error { return parse(&memory(r).Swap, v, parseSize) }},
	{"pids-limit", "most processes; -1: no limit", func(r *specs.LinuxResources, v string) error {
		r.Pids = &specs.LinuxPids{}
		return parse(&r.Pids.Limit, v, parseSigned)
	}},
}

func ref[T any](v T) *T { return &v }

func cpu(r *specs.LinuxResources) *specs.LinuxCPU {
	if r.CPU == nil {
		r.CPU = &specs.LinuxCPU{}
	}
	return r.CPU
}

func memory(r *specs.LinuxResources) *specs.LinuxMemory {
	if r.Memory == nil {
		r.Memory = &specs.LinuxMemory{}
	}
	return r.Memory
}

func parse[T any](into **T, v string, f func(string) (T, error)) error {
	n, err := f(v)
	*into = &n
	return err
}

func parseUnsigned(v string) (uint64, error) { return strconv.ParseUint(v, 10, 64) }
func parseSigned(v string) (int64, error)    { return strconv.ParseInt(v, 10, 64) }

// parseSize reads bytes, as 50M or 1g.
func parseSize(v string) (int64, error) {
	if v == "-1" {
		return -1, nil
	}
	return units.RAMInBytes(v)
}
