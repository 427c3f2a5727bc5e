package oci

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/mount"
)

// What a container has of the machine is not in its images: CRIU is told which
// mounts these are when it dumps, under a name, and by that name where they
// come from when it restores. The names are destinations of the specification.

// maskSource is the name of all masks that are files, and what they are.
const maskSource = "/dev/null"

// foreign are the parts of a specification that come from the machine.
type foreign struct {
	binds   []specs.Mount // destinations are clean
	own     []string      // destinations of all other mounts
	masks   []string
	devices []string
	groups  string // where cgroup hierarchies are mounted one by one; "" for nowhere
}

// defaultDevices are made in every container, see config-linux.md. In a user
// namespace they are bind mounts.
var defaultDevices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}

// foreignOf sorts a specification's parts; unified says that the machine has
// one tree of cgroups only, which a container mounts for itself.
func foreignOf(s *specs.Spec, unified bool) foreign {
	f := foreign{devices: slices.Clone(defaultDevices)}
	ownGroups := unified || hasNamespace(s, specs.CgroupNamespace)
	for _, m := range s.Mounts {
		m.Destination = path.Clean("/" + m.Destination)
		switch flags := mount.ParseFlags(m.Options); {
		case flags.Bind || m.Type == "bind":
			f.binds = append(f.binds, m)
			continue
		case m.Type == "cgroup" && !ownGroups:
			f.groups = m.Destination
		}
		f.own = append(f.own, m.Destination)
	}
	for _, d := range s.Linux.Devices {
		f.devices = append(f.devices, path.Clean("/"+d.Path))
	}
	for _, m := range s.Linux.MaskedPaths {
		f.masks = append(f.masks, path.Clean("/"+m))
	}
	return f
}

// dumped names the external ones among the mounts of a container. at gives the
// mount that a destination leads to, 0 for none.
func (f *foreign) dumped(points []mount.Point, at func(destination string) int) (external []string) {
	names := make(map[int]string)
	for _, m := range f.binds {
		names[at(m.Destination)] = m.Destination
	}
	taken := make(map[int]bool)
	for _, d := range f.own {
		taken[at(d)] = true
	}
	var trees []mount.Point // binds so far, with their names as kinds
	for _, p := range points {
		name, ok := names[p.ID]
		switch {
		case p.Path == "/" || taken[p.ID] && f.groups == "":
			continue
		case ok:
			trees = append(trees, mount.Point{Path: p.Path, Kind: name})
		default:
			name = f.nameOf(p, trees)
		}
		if name != "" {
			external = append(external, "mnt["+p.Path+"]:"+name)
		}
	}
	return external
}

// nameOf is the name of a mount that the specification does not speak of as a
// bind; "" if it is the container's own.
func (f *foreign) nameOf(p mount.Point, trees []mount.Point) string {
	switch {
	case slices.Contains(f.masks, p.Path) && p.Kind != "tmpfs":
		return maskSource
	case slices.Contains(f.devices, p.Path) && p.Kind != "devpts":
		return p.Path
	case f.groups != "" && strings.HasPrefix(p.Kind, "cgroup") && isBelow(p.Path, f.groups):
		return p.Path
	case slices.Contains(f.own, p.Path):
		return ""
	}
	for _, t := range slices.Backward(trees) {
		if isBelow(p.Path, t.Path) {
			return t.Kind + strings.TrimPrefix(p.Path, t.Path)
		}
	}
	return ""
}

func isBelow(name, dir string) bool { return strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/") }

// restored says where each name comes from. One that is not in the images does
// no harm. The mounts below a tree are those of now.
func (f *foreign) restored(bundle string, machine []mount.Point, groups map[string]string) (external []string) {
	add := func(name, source string) { external = append(external, "mnt["+name+"]:"+source) }
	for _, m := range f.binds {
		source := m.Source
		if !path.IsAbs(source) {
			source = path.Join(bundle, source)
		}
		// CRIU would bind a link itself, and what is mounted there has its real
		// name in the list. A source that is missing is CRIU's to refuse.
		if real, err := filepath.EvalSymlinks(source); err == nil {
			source = real
		}
		source = path.Clean(source)
		add(m.Destination, source)
		for _, p := range machine {
			if isBelow(p.Path, source) {
				add(path.Join(m.Destination, p.Path[len(source):]), p.Path)
			}
		}
	}
	if len(f.masks) > 0 {
		add(maskSource, maskSource)
	}
	for _, d := range f.devices {
		if d != maskSource || len(f.masks) == 0 {
			add(d, d)
		}
	}
	if f.groups != "" {
		for _, dir := range groups {
			add(path.Join(f.groups, doorName(dir)), dir)
		}
	}
	slices.Sort(external)
	return slices.Compact(external)
}

// unkept names the first mount that CRIU would restore as something else.
func (f *foreign) unkept() string {
	for _, m := range f.binds {
		if len(m.UIDMappings) > 0 || len(m.GIDMappings) > 0 || slices.Contains(m.Options, "idmap") || slices.Contains(m.Options, "ridmap") {
			return m.Destination
		}
	}
	return ""
}
