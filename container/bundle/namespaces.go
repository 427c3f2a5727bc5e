package bundle

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// mode is one of --network, --pid, --ipc, --uts, --cgroupns.
type mode struct {
	flag, value string
	kind        specs.LinuxNamespaceType
	own         []string // words that mean a namespace of the container's own
	join        bool     // container:NAME is possible
	bad         string   // docker's words for a wrong one
}

func modes(r *container.Request) []mode {
	return []mode{
		{"--network", r.Network, specs.NetworkNamespace, []string{"", "none", "private"}, true, "invalid network mode"},
		{"--uts", r.UTS, specs.UTSNamespace, []string{"", "private"}, false, "invalid UTS mode"},
		{"--pid", r.PID, specs.PIDNamespace, []string{"", "private"}, true, "invalid PID mode"},
		{"--ipc", r.IPC, specs.IPCNamespace, []string{"", "private", "shareable", "none"}, true, "invalid IPC mode"},
		{"--cgroupns", r.Cgroup, specs.CgroupNamespace, []string{"", "private"}, false, "invalid CGROUP mode"},
	}
}

func namespaces(s *specs.Spec, r *container.Request, _ *ocispec.Image, h Host) error {
	s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	if r.Userns != "" && r.Userns != "host" {
		return fault.New(fault.Invalid, "--userns: invalid USER mode: only host is possible")
	}
	for _, m := range modes(r) {
		if err := m.add(s, h); err != nil {
			return err
		}
	}
	return nil
}

func (m mode) add(s *specs.Spec, h Host) error {
	other, isJoin := strings.CutPrefix(m.value, "container:")
	switch {
	case m.value == "host":
		return nil
	case isJoin && m.join && other != "":
		path := h.Namespaces[m.kind]
		if path == "" {
			return fault.New(fault.NotRunning, "%s %s: cannot join: container %s is not running", m.flag, m.value, other)
		}
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: m.kind, Path: path})
		return nil
	}
	for _, w := range m.own {
		if m.value == w {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: m.kind})
			return nil
		}
	}
	if m.flag == "--network" && (m.value == "bridge" || m.value == "default") {
		return fault.New(fault.Unsupported, "--network %s is not in this build: use none, host or container:NAME", m.value)
	}
	return fault.New(fault.Invalid, "%s: %s %q", m.flag, m.bad, m.value)
}

// owns reports whether the container has a namespace of its own of this kind.
func owns(s *specs.Spec, kind specs.LinuxNamespaceType) bool {
	for _, n := range s.Linux.Namespaces {
		if n.Type == kind {
			return n.Path == ""
		}
	}
	return false
}

// Hostname is the host name that the container will see.
func Hostname(r *container.Request, h Host) (string, error) {
	joined := strings.HasPrefix(r.Network, "container:")
	switch {
	case r.Hostname != "" && r.UTS == "host":
		return "", fault.New(fault.Invalid, "conflicting options: hostname and the UTS mode")
	case r.Hostname != "" && joined:
		return "", fault.New(fault.Invalid, "conflicting options: hostname and the network mode")
	case r.Hostname != "":
		return r.Hostname, checkHostname("hostname", r.Hostname)
	case r.UTS == "host" || r.Network == "host":
		return h.Hostname, nil
	case joined && h.JoinedHostname != "":
		return h.JoinedHostname, nil
	}
	return h.ID[:min(len(h.ID), container.ShortLen)], nil
}

// maxHostname is __NEW_UTS_LEN.
const maxHostname = 64

// checkHostname: the value goes into /etc/hosts, so it is one printable word.
func checkHostname(what, name string) error {
	if len(name) > maxHostname {
		return fault.New(fault.Invalid, "invalid %s %q: longer than %d bytes", what, name[:maxHostname]+"…", maxHostname)
	}
	for _, c := range name {
		if c <= ' ' || c == 0x7f || c == '/' || c == '#' || c == 0xfffd {
			return fault.New(fault.Invalid, "invalid %s %q: control characters, spaces, '/' and '#' are not allowed", what, name)
		}
	}
	return nil
}

// names fills host and domain name. With the machine's UTS namespace both stay
// empty: setting them would rename the machine.
func names(s *specs.Spec, r *container.Request, _ *ocispec.Image, h Host) error {
	name, err := Hostname(r, h)
	if err != nil {
		return err
	}
	if err := checkHostname("domainname", r.Domainname); err != nil {
		return err
	}
	if !owns(s, specs.UTSNamespace) {
		if r.Domainname != "" {
			return fault.New(fault.Invalid, "conflicting options: domainname and the UTS mode")
		}
		return nil
	}
	s.Hostname, s.Domainname = name, r.Domainname
	return nil
}
