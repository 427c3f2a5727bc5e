package request

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/internal/fault"
)

// mounts lowers -v, --mount and --tmpfs, in this order.
func (p *parser) mounts() error {
	cwd := ""
	if dir, err := p.c.Getwd(); err == nil {
		cwd = dir
	}
	seen := map[string]string{}
	for _, l := range []struct {
		flag  string
		words List
		parse func(string) (container.Mount, error)
	}{
		{"-v", p.f.volume, func(s string) (container.Mount, error) { return container.ParseVolume(s, cwd) }},
		{"--mount", p.f.mount, func(s string) (container.Mount, error) { return container.ParseMountFlag(s, cwd) }},
		{"--tmpfs", p.f.tmpfs, container.ParseTmpfs},
	} {
		for _, w := range l.words {
			m, err := l.parse(w)
			if err != nil {
				return fault.Op(l.flag, "", err)
			}
			if m.Type == "volume" {
				return fault.New(fault.Unsupported, "%s %s: %s", l.flag, w, noVolumes)
			}
			if first, dup := seen[m.Target]; dup {
				return fmt.Errorf("%s %s: Duplicate mount point: %s (also %s)", l.flag, w, m.Target, first)
			}
			seen[m.Target] = l.flag + " " + w
			p.r.Mounts = append(p.r.Mounts, m)
		}
	}
	return nil
}

func (p *parser) security([]string) (err error) {
	f, r := p.f, &p.r
	r.Privileged = f.privileged
	if r.CapAdd, err = caps("--cap-add", f.capAdd); err != nil {
		return err
	}
	if r.CapDrop, err = caps("--cap-drop", f.capDrop); err != nil {
		return err
	}
	for _, o := range f.securityOpt {
		if err := container.ParseSecurityOpt(&r.Security, o, p.c.ReadFile); err != nil {
			return fault.Op("--security-opt", "", err)
		}
	}
	for _, d := range f.device {
		dev, err := container.ParseDevice(d)
		if err != nil {
			return fault.Op("--device", "", err)
		}
		r.Devices = append(r.Devices, dev)
	}
	for _, rule := range f.deviceRule {
		if _, err := container.ParseDeviceRule(rule); err != nil {
			return fault.Op("--device-cgroup-rule", "", err)
		}
		r.DeviceRules = append(r.DeviceRules, rule)
	}
	return p.sysctls()
}

func caps(flag string, names []string) (out []string, err error) {
	for _, n := range names {
		c, err := container.ParseCap(n)
		if err != nil {
			return nil, fault.Op(flag, "", err)
		}
		out = append(out, c)
	}
	return out, nil
}

func (p *parser) sysctls() error {
	for _, s := range p.f.sysctl {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return fmt.Errorf("--sysctl %s: write key=value", quoteShort(s))
		}
		if !plain(s) {
			return fmt.Errorf("--sysctl %s: line breaks are not allowed", quoteShort(k))
		}
		if p.r.Sysctls == nil {
			p.r.Sysctls = map[string]string{}
		}
		p.r.Sysctls[k] = v
	}
	return nil
}

func (p *parser) limits([]string) error {
	f, r := p.f, &p.r
	r.OOMScoreAdj, r.Resources = f.oomScoreAdj, f.resources
	if f.memorySwappiness != -1 {
		return fault.New(fault.Unsupported, "--memory-swappiness: is not in this version; leave it out")
	}
	if f.kernelMemory != 0 {
		p.warn = append(p.warn, "--kernel-memory is deprecated and ignored")
	}
	if f.oomKillDisable {
		p.warn = append(p.warn, "--oom-kill-disable is ignored: a container out of memory is always ended")
	}
	for _, set := range []struct{ flag, list string }{{"--cpuset-cpus", r.Resources.CpusetCPUs}, {"--cpuset-mems", r.Resources.CpusetMems}} {
		if set.list == "" {
			continue
		}
		if _, err := container.ParseCPUSet(set.list); err != nil {
			return fault.Op(set.flag, "", err)
		}
	}
	for _, u := range f.ulimit {
		l, err := container.ParseUlimit(u)
		if err != nil {
			return fault.Op("--ulimit", "", err)
		}
		r.Ulimits = append(r.Ulimits, l)
	}
	return nil
}

// life lowers what concerns start and end.
func (p *parser) life([]string) (err error) {
	f, r := p.f, &p.r
	if r.Name = strings.TrimPrefix(f.name, "/"); f.name != "" {
		if err := container.CheckName(r.Name); err != nil {
			return err
		}
	}
	r.Remove, r.Init, r.StopTimeout = f.rm, f.init, f.stopTimeout.v
	if r.StopSignal, err = Signal(f.stopSignal); err != nil {
		return fault.Op("--stop-signal", "", err)
	}
	if r.Restart, err = container.ParseRestart(f.restart); err != nil {
		return fault.Op("--restart", "", err)
	}
	if r.Remove && r.Restart.Name != "" && r.Restart.Name != "no" {
		return fmt.Errorf("conflicting options: cannot specify both --restart and --rm")
	}
	if f.runtime != "" && f.runtime != "berth-oci" {
		return fault.New(fault.Unsupported, "--runtime: unknown runtime %q; this engine has berth-oci only", f.runtime)
	}
	if f.isolation != "" && f.isolation != "default" && f.isolation != "process" {
		return fmt.Errorf("--isolation: %q is not known on Linux", f.isolation)
	}
	return p.logging()
}

// Signal brings a signal's name or number to the form SIGTERM; "" stays "".
func Signal(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	n, err := container.ParseSignal(s)
	if err != nil {
		return "", err
	}
	return container.SignalName(n), nil
}

func (p *parser) logging() error {
	l := &p.r.Log
	switch p.f.logDriver {
	case "", "json-file", "none":
		l.Driver = p.f.logDriver
	case "local":
		l.Driver = "json-file"
	default:
		return fault.New(fault.Unsupported, "--log-driver: unknown driver %q; this version has json-file and none", p.f.logDriver)
	}
	for _, o := range p.f.logOpt {
		if err := p.logOpt(o); err != nil {
			return fmt.Errorf("--log-opt %s: %w", quoteShort(o), err)
		}
	}
	return nil
}

func (p *parser) logOpt(o string) (err error) {
	k, v, ok := strings.Cut(o, "=")
	if !ok || v == "" {
		return fmt.Errorf("write key=value")
	}
	l := &p.r.Log
	switch k {
	case "max-size":
		if v == "-1" {
			return fault.New(fault.Unsupported, "logs are always bounded here; give a size")
		}
		if l.MaxSize, err = container.ParseSize(v); err == nil && l.MaxSize < 1 {
			return fmt.Errorf("the size must be more than nothing")
		}
	case "max-file":
		if l.MaxFile, err = strconv.Atoi(v); err != nil || l.MaxFile < 1 {
			return fmt.Errorf("%q is no number of files", v)
		}
	case "mode":
		if v != "blocking" {
			return fault.New(fault.Unsupported, "this version writes logs in mode blocking only")
		}
	case "compress":
		if v != "false" {
			return fault.New(fault.Unsupported, "this version does not compress old log files")
		}
	default:
		return fmt.Errorf("unknown log opt '%s' for json-file log driver; known are max-size and max-file", k)
	}
	return err
}
