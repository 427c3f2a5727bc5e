package oci

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/plan"
)

// grant takes those capabilities out of a process that we do not hold and so
// cannot give, with a warning: config.md, "process", wants that they be logged
// and the container run. That is how a --privileged container of an engine
// comes up on a machine, or in a container, that lacks one of them.
func (r *Runtime) grant(p *specs.Process, l *specs.Linux) {
	if p.Capabilities == nil || hasNamespace(l, specs.UserNamespace) {
		return // who enters a user namespace holds all of its capabilities
	}
	held, err := permitted()
	if err != nil {
		return // the kernel will have its say
	}
	if lost := withhold(p.Capabilities, held); len(lost) > 0 {
		r.warn(fault.New(fault.Denied, "process.capabilities: left out, since this runtime does not hold them itself: %s", strings.Join(lost, " ")))
	}
}

func hasNamespace(l *specs.Linux, kind specs.LinuxNamespaceType) bool {
	return l != nil && slices.ContainsFunc(l.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
}

// permitted is the set of capabilities that this thread may use; see capget(2).
func permitted() (uint64, error) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return 0, err
	}
	return uint64(data[1].Permitted)<<32 | uint64(data[0].Permitted), nil
}

// withhold removes what is not in held from all sets and names it.
func withhold(c *specs.LinuxCapabilities, held uint64) (lost []string) {
	for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Permitted, &c.Inheritable, &c.Ambient} {
		kept := (*set)[:0:0]
		for _, name := range *set {
			n := plan.Capability(name)
			switch {
			case n < 0 || held&(1<<n) != 0: // an unknown one is for the plan to refuse
				kept = append(kept, name)
			case !slices.Contains(lost, name):
				lost = append(lost, name)
			}
		}
		*set = kept
	}
	return lost
}
