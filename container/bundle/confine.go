package bundle

import (
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

const unconfined = "unconfined"

// confine fills what hides and forbids: masks, seccomp, AppArmor, SELinux.
func confine(s *specs.Spec, r *container.Request, _ *ocispec.Image, h Host) error {
	hidden := r.Security.SystemPathsHidden
	if !r.Privileged && (hidden == nil || *hidden) {
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = defaultMasks(), defaultReadonly()
		for i := range h.ThrottleCPUs {
			s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/sys/devices/system/cpu/cpu"+strconv.Itoa(i)+"/thermal_throttle")
		}
	}
	var err error
	if s.Linux.Seccomp, err = seccomp(r, h); err != nil {
		return err
	}
	if s.Process.ApparmorProfile, err = appArmor(r, h); err != nil {
		return err
	}
	s.Process.SelinuxLabel, err = seLinux(r, h)
	if s.Process.SelinuxLabel != "" {
		s.Linux.MountLabel = h.MountLabel
	}
	return err
}

// seccomp never ends in "no filter" by omission: that takes the user's word or
// a kernel without seccomp.
func seccomp(r *container.Request, h Host) (*specs.LinuxSeccomp, error) {
	profile := r.Security.Seccomp
	switch {
	case profile == unconfined, profile == "" && r.Privileged:
		return nil, nil
	case profile != "" && h.NoSeccomp:
		return nil, fault.New(fault.Unsupported, "seccomp is not enabled in your kernel, cannot run a custom seccomp profile")
	case h.NoSeccomp:
		return nil, nil
	case h.Seccomp == nil:
		return nil, fault.New(fault.Internal, "no seccomp profile was prepared for this container")
	}
	return h.Seccomp, nil
}

func appArmor(r *container.Request, h Host) (string, error) {
	profile := r.Security.AppArmor
	switch {
	case h.AppArmor == "" && profile != "" && profile != unconfined:
		return "", fault.New(fault.Unsupported, "--security-opt apparmor=%s: AppArmor is not enabled on this machine", profile)
	case h.AppArmor == "":
		return "", nil
	case profile == "" && r.Privileged:
		return unconfined, nil
	case profile == "":
		return h.AppArmor, nil
	}
	return profile, nil
}

// seLinux replaces parts of the label made for the container. A context is
// user:role:type:level, and a level may have colons itself.
func seLinux(r *container.Request, h Host) (string, error) {
	disabled := r.Privileged
	part := strings.SplitN(h.ProcessLabel, ":", 4)
	for _, o := range r.Security.Label {
		if o == "disable" {
			disabled = true
			continue
		}
		key, value, _ := strings.Cut(o, ":")
		i, ok := map[string]int{"user": 0, "role": 1, "type": 2, "level": 3}[key]
		if !ok || value == "" {
			return "", fault.New(fault.Invalid, "bad label option %q, valid options 'disable' or 'user, role, level, type' followed by ':' and a value", o)
		}
		if h.ProcessLabel == "" {
			return "", fault.New(fault.Unsupported, "--security-opt label=%s: SELinux is not enabled on this machine", o)
		}
		if len(part) != 4 {
			return "", fault.New(fault.Internal, "bad SELinux context %q", h.ProcessLabel)
		}
		part[i] = value
	}
	if disabled {
		return "", nil
	}
	return strings.Join(part, ":"), nil
}

// checkStrings refuses a NUL anywhere: the kernel would cut the string there,
// and what was checked would not be what is used.
func checkStrings(s *specs.Spec) error {
	lists := [][]string{
		s.Process.Args, s.Process.Env, s.Linux.MaskedPaths, s.Linux.ReadonlyPaths,
		{s.Process.Cwd, s.Hostname, s.Domainname, s.Root.Path, s.Linux.CgroupsPath, s.Process.ApparmorProfile, s.Process.SelinuxLabel, s.Linux.MountLabel},
	}
	for _, m := range s.Mounts {
		lists = append(lists, []string{m.Destination, m.Source, m.Type}, m.Options)
	}
	for _, d := range s.Linux.Devices {
		lists = append(lists, []string{d.Path})
	}
	for k, v := range s.Annotations {
		if k == "" {
			return fault.New(fault.Invalid, "an annotation has an empty name")
		}
		lists = append(lists, []string{k, v})
	}
	for _, list := range lists {
		for _, text := range list {
			if before, _, found := strings.Cut(text, "\x00"); found {
				return fault.New(fault.Invalid, "NUL byte after %q: a string of a container cannot contain one", before)
			}
		}
	}
	return nil
}
