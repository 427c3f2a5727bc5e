package bundle

import (
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// devices fills the nodes beyond the default ones, which every runtime makes
// by itself, and the complete list of rules, in the order in which they count.
func devices(s *specs.Spec, r *container.Request, _ *ocispec.Image, h Host) error {
	rules := defaultDeviceRules()
	var nodes []specs.LinuxDevice
	if r.Privileged {
		rules = []specs.LinuxDeviceCgroup{{Allow: true, Type: "a", Access: "rwm"}}
		nodes = slices.Clone(h.AllDevices)
	}
	for _, d := range r.Devices {
		found, err := deviceNodes(d, h)
		if err != nil {
			return err
		}
		nodes = append(nodes, found...)
		if r.Privileged {
			continue
		}
		for _, n := range found {
			rules = append(rules, rule(ruleType(n.Type), n.Major, n.Minor, d.Perms))
		}
	}
	for _, text := range r.DeviceRules {
		u, err := container.ParseDeviceRule(text)
		if err != nil {
			return err
		}
		if !r.Privileged {
			rules = append(rules, rule(u.Type, u.Major, u.Minor, u.Access))
		}
	}
	s.Linux.Devices = unique(nodes)
	s.Linux.Resources = &specs.LinuxResources{Devices: rules}
	return nil
}

// ruleType: an unbuffered character device ("u") is a character device.
func ruleType(kind string) string {
	if kind == "u" {
		return "c"
	}
	return kind
}

// deviceNodes moves the nodes found at d.Host to d.Container.
func deviceNodes(d container.Device, h Host) ([]specs.LinuxDevice, error) {
	if err := container.CheckDevicePerms(d.Perms); err != nil {
		return nil, err
	}
	found := h.Devices[d.Host]
	if len(found) == 0 {
		return nil, fault.New(fault.Invalid, "error gathering device information while adding custom device %q: not a device node", d.Host)
	}
	to := path.Clean(d.Container)
	if !path.IsAbs(to) || to == "/" || to == "/dev" || to == "/proc" || to == "/sys" ||
		strings.HasPrefix(to, "/proc/") || strings.HasPrefix(to, "/sys/") {
		return nil, fault.New(fault.Invalid, "invalid device path in the container: %q", d.Container)
	}
	out := make([]specs.LinuxDevice, 0, len(found))
	for _, n := range found {
		from := n.Path
		n.Path = path.Join(to, strings.TrimPrefix(from, path.Clean(d.Host)))
		if isCoreNode(n.Path) && n.Path != from {
			return nil, fault.New(fault.Invalid, "invalid device path in the container: '%s' is a device of every container", n.Path)
		}
		out = append(out, n)
	}
	return out, nil
}

// unique drops the default nodes and, of several for one path, all but the
// last, which the user named.
func unique(nodes []specs.LinuxDevice) []specs.LinuxDevice {
	last := map[string]int{}
	for i, n := range nodes {
		last[n.Path] = i
	}
	var out []specs.LinuxDevice
	for i, n := range nodes {
		if last[n.Path] == i && !isCoreNode(n.Path) {
			out = append(out, n)
		}
	}
	return out
}
