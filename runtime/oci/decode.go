package oci

import (
	"encoding/json"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
)

// Before package json decodes a byte it prepares itself for every type that it
// could reach from the target, and a specification reaches a hundred. Starting
// a container is shorter than that. So the types here shadow what is rare or
// large with raw text, which is decoded only where it is there.

type lazySpec struct {
	Version     string            `json:"ociVersion"`
	Process     *lazyProcess      `json:"process"`
	Root        *specs.Root       `json:"root"`
	Hostname    string            `json:"hostname"`
	Domainname  string            `json:"domainname"`
	Mounts      []specs.Mount     `json:"mounts"`
	Hooks       json.RawMessage   `json:"hooks"`
	Annotations map[string]string `json:"annotations"`
	Linux       *lazyLinux        `json:"linux"`
}

type lazyProcess struct {
	specs.Process
	Scheduler       json.RawMessage `json:"scheduler"`
	IOPriority      json.RawMessage `json:"ioPriority"`
	ExecCPUAffinity json.RawMessage `json:"execCPUAffinity"`
}

type lazyLinux struct {
	specs.Linux
	Resources    *lazyResources  `json:"resources"`
	Devices      json.RawMessage `json:"devices"`
	NetDevices   json.RawMessage `json:"netDevices"`
	Seccomp      json.RawMessage `json:"seccomp"`
	IntelRdt     json.RawMessage `json:"intelRdt"`
	MemoryPolicy json.RawMessage `json:"memoryPolicy"`
	Personality  json.RawMessage `json:"personality"`
	TimeOffsets  json.RawMessage `json:"timeOffsets"`
}

type lazyResources struct {
	specs.LinuxResources
	Memory         json.RawMessage `json:"memory"`
	CPU            json.RawMessage `json:"cpu"`
	Pids           json.RawMessage `json:"pids"`
	BlockIO        json.RawMessage `json:"blockIO"`
	HugepageLimits json.RawMessage `json:"hugepageLimits"`
	Network        json.RawMessage `json:"network"`
	Rdma           json.RawMessage `json:"rdma"`
}

// rest is a part that was left raw.
type rest struct {
	field string
	raw   json.RawMessage
	into  any
}

func decodeRest(path string, parts ...rest) error {
	for _, p := range parts {
		if len(p.raw) == 0 {
			continue
		}
		if err := json.Unmarshal(p.raw, p.into); err != nil {
			return fault.New(fault.Invalid, "%s: %s: %w", path, p.field, err)
		}
	}
	return nil
}

// parseSpec decodes and checks config.json; path is for errors.
func parseSpec(path string, data []byte) (*specs.Spec, error) {
	var l lazySpec
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, fault.New(fault.Invalid, "%s: %w", path, err)
	}
	s := &specs.Spec{
		Version: l.Version, Root: l.Root, Hostname: l.Hostname, Domainname: l.Domainname,
		Mounts: l.Mounts, Annotations: l.Annotations,
	}
	if major, _, ok := strings.Cut(s.Version, "."); !ok || major != "1" {
		return nil, fault.New(fault.Invalid, "%s: ociVersion %q: this runtime knows version 1", path, s.Version)
	}
	err := decodeRest(path, rest{"hooks", l.Hooks, &s.Hooks})
	if err == nil && l.Process != nil {
		s.Process, err = l.Process.decode(path, "process.")
	}
	if err == nil && l.Linux != nil {
		s.Linux, err = l.Linux.decode(path)
	}
	if err != nil {
		return nil, err
	}
	return s, checkSpec(path, s)
}

func (l *lazyProcess) decode(path, prefix string) (*specs.Process, error) {
	p := &l.Process
	return p, decodeRest(path,
		rest{prefix + "scheduler", l.Scheduler, &p.Scheduler},
		rest{prefix + "ioPriority", l.IOPriority, &p.IOPriority},
		rest{prefix + "execCPUAffinity", l.ExecCPUAffinity, &p.ExecCPUAffinity})
}

func (l *lazyLinux) decode(path string) (*specs.Linux, error) {
	s := &l.Linux
	if r := l.Resources; r != nil {
		s.Resources = &r.LinuxResources
		err := decodeRest(path,
			rest{"linux.resources.memory", r.Memory, &s.Resources.Memory},
			rest{"linux.resources.cpu", r.CPU, &s.Resources.CPU},
			rest{"linux.resources.pids", r.Pids, &s.Resources.Pids},
			rest{"linux.resources.blockIO", r.BlockIO, &s.Resources.BlockIO},
			rest{"linux.resources.hugepageLimits", r.HugepageLimits, &s.Resources.HugepageLimits},
			rest{"linux.resources.network", r.Network, &s.Resources.Network},
			rest{"linux.resources.rdma", r.Rdma, &s.Resources.Rdma})
		if err != nil {
			return nil, err
		}
	}
	return s, decodeRest(path,
		rest{"linux.devices", l.Devices, &s.Devices},
		rest{"linux.netDevices", l.NetDevices, &s.NetDevices},
		rest{"linux.seccomp", l.Seccomp, &s.Seccomp},
		rest{"linux.intelRdt", l.IntelRdt, &s.IntelRdt},
		rest{"linux.memoryPolicy", l.MemoryPolicy, &s.MemoryPolicy},
		rest{"linux.personality", l.Personality, &s.Personality},
		rest{"linux.timeOffsets", l.TimeOffsets, &s.TimeOffsets})
}

// ParseProcess decodes a process; path is for errors.
func ParseProcess(path string, data []byte) (*specs.Process, error) {
	var l lazyProcess
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, fault.New(fault.Invalid, "%s: %w", path, err)
	}
	if len(l.Args) == 0 {
		return nil, fault.New(fault.Invalid, "%s: args: must name a program", path)
	}
	return l.decode(path, "")
}
