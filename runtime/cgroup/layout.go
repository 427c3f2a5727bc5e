package cgroup

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// Version is the kind of control groups a machine, or a list of files, has.
type Version uint8

// The versions. Hybrid is v1 hierarchies with a unified tree beside them;
// it is no argument for Files.
const (
	V1 Version = iota + 1
	V2
	Hybrid
)

func (v Version) String() string {
	switch v {
	case V1:
		return "v1"
	case V2:
		return "v2"
	case Hybrid:
		return "hybrid"
	}
	return "unknown"
}

// Hierarchy is one mounted tree of groups.
type Hierarchy struct {
	Controllers []string // "memory"; a v1 hierarchy without any is "name=systemd"
	Unified     bool     // cgroup2; Controllers are those it offers at its top
	Mountpoint  string   // where it is mounted
	Root        string   // the group that is seen at the mount point, "/" as a rule
	Own         string   // the group of the calling process
	ReadOnly    bool     // as in most containers
}

// Layout is what is mounted on this machine.
type Layout struct {
	Version     Version
	Hierarchies []Hierarchy // v1 first, in the kernel's order; the unified tree last
}

// Detect reads /proc/self/cgroup and /proc/self/mountinfo.
func Detect() (*Layout, error) {
	const op = "cgroup.detect"
	own, err := readPath("/proc/self/cgroup")
	if err != nil {
		return nil, fault.Op(op, "/proc/self/cgroup", err)
	}
	mounts, err := readPath("/proc/self/mountinfo")
	if err != nil {
		return nil, fault.Op(op, "/proc/self/mountinfo", err)
	}
	l, err := arrange(parseMembership(own), parseMounts(mounts))
	if err != nil {
		return nil, fault.Op(op, "", err)
	}
	for i := range l.Hierarchies {
		if h := &l.Hierarchies[i]; h.Unified {
			text, err := readPath(h.Mountpoint + "/cgroup.controllers")
			if err != nil {
				return nil, fault.Op(op, h.Mountpoint, err)
			}
			h.Controllers = strings.Fields(text)
		}
	}
	return l, nil
}

// arrange finds for every hierarchy the process is in the place where it is
// mounted. A hierarchy that is mounted nowhere is left out.
func arrange(own []membership, mounts []cgroupMount) (*Layout, error) {
	l := &Layout{}
	var v1, unified []Hierarchy
	for _, m := range own {
		at, ok := m.mountIn(mounts)
		if !ok {
			continue
		}
		h := Hierarchy{Controllers: m.controllers, Unified: m.unified, Mountpoint: at.point, Root: at.root, Own: m.path, ReadOnly: at.readOnly}
		if m.unified {
			unified = append(unified, h)
		} else {
			v1 = append(v1, h)
		}
	}
	switch {
	case len(v1) == 0 && len(unified) == 0:
		return nil, fault.New(fault.Unsupported, "no control groups are mounted; mount cgroup2 on /sys/fs/cgroup")
	case len(v1) == 0:
		l.Version = V2
	case len(unified) == 0:
		l.Version = V1
	default:
		l.Version = Hybrid
	}
	slices.Reverse(v1) // the kernel lists the newest first
	l.Hierarchies = append(v1, unified...)
	return l, nil
}

// mountIn chooses the mount that shows this hierarchy: one below
// /sys/fs/cgroup before others, one of the whole tree before one of a part.
func (m membership) mountIn(mounts []cgroupMount) (best cgroupMount, ok bool) {
	rank := -1
	for _, c := range mounts {
		if c.unified != m.unified || (!m.unified && !slices.Contains(c.options, m.controllers[0])) {
			continue
		}
		r := 0
		if strings.HasPrefix(c.point+"/", "/sys/fs/cgroup/") {
			r += 2
		}
		if c.root == "/" {
			r++
		}
		if r > rank {
			best, rank = c, r
		}
	}
	return best, rank >= 0
}

// Manager returns the group path in every hierarchy; nothing is made yet.
// "/a/b" counts from the top of each hierarchy, "a/b" from the caller's own
// group. On a pure v2 machine "a/b" counts from the group above the caller's
// own one: a group with processes cannot hand controllers to its children.
//
// Hierarchies in which we may make nothing, as in a container or without
// root's rights, are left out. That is an error only for who asks for a limit
// that needs them: those of whoever made our groups hold for what is in them.
func (l *Layout) Manager(path string) (Manager, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	g := &group{v2: l.Version == V2}
	// Root may write everywhere: one look at one place tells.
	mine := unix.Access(l.Hierarchies[0].Mountpoint, unix.W_OK) == nil
	for _, h := range l.Hierarchies {
		dir, err := h.place(path, l.Version)
		if err != nil {
			return nil, err
		}
		if h.ReadOnly || !mine {
			if err := writable(dir); err != nil {
				g.bar(&h, err)
				continue
			}
		}
		g.trees = append(g.trees, tree{controllers: h.Controllers, unified: h.Unified, path: dir, top: h.Mountpoint})
	}
	return g, nil
}

// writable reports why a directory cannot be made: its nearest ancestor that
// exists may not be written to.
func writable(dir string) error {
	for ; dir != "/"; dir = filepath.Dir(dir) {
		err := unix.Access(dir, unix.W_OK)
		if !errors.Is(err, unix.ENOENT) {
			return fault.Op("write to", dir, err)
		}
	}
	return nil
}

// bar notes that a hierarchy is left out.
func (g *group) bar(h *Hierarchy, err error) {
	if g.barred == nil {
		g.barred = make(map[string]error)
	}
	if h.Unified {
		g.barred[""] = err
	}
	for _, c := range h.Controllers {
		g.barred[c] = err
	}
}

// place is the directory of path in h.
func (h *Hierarchy) place(path string, v Version) (string, error) {
	if path[0] == '/' {
		return filepath.Join(h.Mountpoint, path), nil
	}
	own := h.Own
	if v == V2 {
		own = filepath.Dir(own)
	}
	rel, ok := below(h.Root, own)
	if !ok && v == V2 {
		rel, ok = below(h.Root, h.Own) // the own group is the top of a delegated tree
	}
	if !ok {
		return "", fault.New(fault.Unsupported, "own control group %s is outside of what %s shows; give an absolute cgroup path", h.Own, h.Mountpoint)
	}
	return filepath.Join(h.Mountpoint, rel, path), nil
}

// below returns what is left of path under root.
func below(root, path string) (string, bool) {
	if strings.Contains(path+"/", "/../") || strings.Contains(root+"/", "/../") {
		return "", false // /proc/self/cgroup of a process outside of its cgroup namespace
	}
	if root == "/" {
		return path, true
	}
	rel, ok := strings.CutPrefix(path+"/", root+"/")
	return rel, ok
}

// checkPath refuses what could leave the place a group belongs to.
func checkPath(path string) error {
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		switch {
		case name == "", name == ".", name == "..":
			return fault.New(fault.Invalid, "cgroup path %q: empty, . and .. are no names of groups", path)
		case len(name) > 255:
			return fault.New(fault.Invalid, "cgroup path %q: a name is longer than 255 bytes", path)
		case strings.ContainsAny(name, "\x00\n"):
			return fault.New(fault.Invalid, "cgroup path %q: zero bytes and newlines are not allowed", path)
		}
	}
	return nil
}
