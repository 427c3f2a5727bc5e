package bundle

import (
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// Capabilities is the container's bounding set, in the order of the kernel's
// numbers. A seccomp profile depends on it.
func Capabilities(r *container.Request, h Host) ([]string, error) {
	add, err := capNames(r.CapAdd)
	if err != nil {
		return nil, err
	}
	drop, err := capNames(r.CapDrop)
	if err != nil {
		return nil, err
	}
	if slices.Contains(add, container.AllCaps) && slices.Contains(drop, container.AllCaps) {
		return nil, fault.New(fault.Invalid, "conflicting options: --cap-add ALL and --cap-drop ALL")
	}
	here := h.Capabilities
	if here == nil {
		here = kernel.Capabilities()
	}
	for _, c := range add {
		if c != container.AllCaps && !slices.Contains(here, c) {
			return nil, fault.New(fault.Unsupported, "capability not supported by your kernel or not available in the current environment: %q", c)
		}
	}
	var set []string
	for _, c := range kernel.Capabilities() {
		if slices.Contains(here, c) && wanted(c, r.Privileged, add, drop) {
			set = append(set, c)
		}
	}
	return set, nil
}

// wanted decides one capability. --privileged beats --cap-drop, as in docker.
func wanted(c string, privileged bool, add, drop []string) bool {
	switch {
	case privileged:
		return true
	case slices.Contains(add, container.AllCaps):
		return !slices.Contains(drop, c)
	case slices.Contains(add, c):
		return true
	case slices.Contains(drop, container.AllCaps):
		return false
	default:
		return slices.Contains(defaultCaps(), c) && !slices.Contains(drop, c)
	}
}

func capNames(list []string) ([]string, error) {
	out := make([]string, 0, len(list))
	for _, c := range list {
		name, err := container.ParseCap(c)
		if err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	return out, nil
}

// capabilities fills the sets as execve(2) would leave them: a user other than
// root has nothing until it runs a privileged file. Inheritable and ambient
// stay empty.
func capabilities(s *specs.Spec, r *container.Request, _ *ocispec.Image, h Host) error {
	set, err := Capabilities(r, h)
	if err != nil {
		return err
	}
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: set}
	if s.Process.User.UID == 0 {
		s.Process.Capabilities.Effective, s.Process.Capabilities.Permitted = slices.Clone(set), slices.Clone(set)
	}
	return nil
}
