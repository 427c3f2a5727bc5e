package plan

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
)

// bring looks for mounts that cannot be made when their turn comes. In a user
// namespace the child has no right to map the owners of the machine's files,
// and as its root it may not reach a source that root of the machine can.
// Trees that need the first are made before the namespace, the others between
// entering it and becoming its root: these keep the locks of locked flags.
func (c *compiler) bring() error {
	userns := c.inUserns()
	if err := c.checkMappings(); err != nil {
		return err
	}
	for i := range c.spec.Mounts {
		m := &c.spec.Mounts[i]
		mapped := wantsMap(m)
		if !mapped && !userns {
			continue
		}
		f := mount.ParseFlags(m.Options)
		bind := (m.Type == "bind" || f.Bind) && m.Source != ""
		if !mapped && !bind {
			continue
		}
		s := bindMount(m.Source, f)
		if mapped {
			var err error
			if s.Users, err = c.users(i, m); err != nil {
				return err
			}
		}
		if userns {
			early := bind && !c.madeInside(i, m.Source) && c.room()
			if mapped && !early {
				return fault.New(fault.Unsupported, "mounts[%d]: owners of what is made inside a user namespace cannot be mapped once more", i)
			}
			if s.Locked = s.Users == 0; early {
				s.Have = c.high
				c.high++
			}
		}
		if c.brought == nil {
			c.brought = map[int]Mount{}
		}
		c.brought[i] = s
	}
	return nil
}

func wantsMap(m *specs.Mount) bool {
	return len(m.UIDMappings)+len(m.GIDMappings) > 0 ||
		slices.ContainsFunc(m.Options, func(o string) bool {
			rest, ok := strings.CutPrefix(strings.TrimPrefix(o, "r"), "idmap")
			return ok && (rest == "" || rest[0] == '=')
		})
}

// room says whether a further tree can be kept. Without room it is made when
// its turn comes, which as a rule works as well.
func (c *compiler) room() bool {
	return c.high < HighEnd && (c.facts.Files == 0 || uint64(c.high.FD()) < c.facts.Files)
}

// madeInside says whether a source is below the container's root and there in
// or behind an earlier mount: it is not there before.
func (c *compiler) madeInside(i int, source string) bool {
	rel, inside := strings.CutPrefix(path.Clean(source), c.facts.RootPath+"/")
	if !inside {
		return false
	}
	for _, m := range c.spec.Mounts[:i] {
		dest := path.Clean("/" + m.Destination)
		if dest == "/"+rel || strings.HasPrefix("/"+rel, dest+"/") || strings.HasPrefix(dest, "/"+rel+"/") {
			return true
		}
	}
	return false
}

// bringSteps are the trees that need rights of the machine, or those that do not.
func (c *compiler) bringSteps(rights bool) []Step {
	var steps []Step
	for i := range c.spec.Mounts {
		if s, ok := c.brought[i]; ok && s.Have != 0 && rights == (s.Users != 0) {
			steps = append(steps, Bring{s})
		}
	}
	return steps
}

// users returns the slot of a user namespace with the map of mounts[i]: its
// own, or else the container's.
func (c *compiler) users(i int, m *specs.Mount) (Slot, error) {
	at := "mounts[" + strconv.Itoa(i) + "]"
	uids, gids := m.UIDMappings, m.GIDMappings
	for j, o := range m.Options {
		if _, words, ok := strings.Cut(o, "idmap="); ok && len(uids)+len(gids) == 0 {
			var err error
			if uids, gids, err = c.mapOption(words); err != nil {
				return 0, fault.New(fault.Invalid, "%s.options[%d]: %w", at, j, err)
			}
		}
	}
	switch {
	case len(uids) == 0 && len(gids) > 0:
		return 0, fault.New(fault.Invalid, "%s.uidMappings: missing, and there are gidMappings", at)
	case len(gids) == 0 && len(uids) > 0:
		return 0, fault.New(fault.Invalid, "%s.gidMappings: missing, and there are uidMappings", at)
	case len(uids) > 0:
		if err := checkMapping(at+".uidMappings", uids); err != nil {
			return 0, err
		}
		if err := checkMapping(at+".gidMappings", gids); err != nil {
			return 0, err
		}
	default:
		for _, j := range c.joins {
			if namespaceFlag(specs.UserNamespace) == j.flag {
				return j.slot, nil
			}
		}
		if uids, gids = c.spec.Linux.UIDMappings, c.spec.Linux.GIDMappings; !c.inUserns() {
			return 0, fault.New(fault.Invalid, "%s.options: idmap needs uidMappings and gidMappings, or a user namespace", at)
		}
	}
	return c.usersInput("idmap:" + mapWord(uids) + "/" + mapWord(gids)), nil
}

// mapOption reads crun's "uids=0-1000-10#20-5000-1;gids=@0-0-10": what is on
// disk, what is seen, how many; with @ seen in the container.
func (c *compiler) mapOption(words string) (uids, gids []specs.LinuxIDMapping, err error) {
	for _, part := range strings.Split(words, ";") {
		kind, list, _ := strings.Cut(part, "=")
		into, container := &uids, c.spec.Linux.UIDMappings
		switch kind {
		case "uids":
		case "gids":
			into, container = &gids, c.spec.Linux.GIDMappings
		default:
			return nil, nil, fault.New(fault.Invalid, "idmap: %q is neither uids nor gids", kind)
		}
		for _, word := range strings.Split(list, "#") {
			m, err := mapTriple(strings.TrimPrefix(word, "@"))
			if err == nil && strings.HasPrefix(word, "@") {
				err = toHost(&m, container)
			}
			if err != nil {
				return nil, nil, err
			}
			*into = append(*into, m)
		}
	}
	return uids, gids, nil
}

func mapTriple(word string) (m specs.LinuxIDMapping, err error) {
	f := strings.Split(word, "-")
	if len(f) != 3 {
		return m, fault.New(fault.Invalid, "idmap: %q is not FROM-TO-LENGTH", word)
	}
	for i, into := range []*uint32{&m.ContainerID, &m.HostID, &m.Size} {
		n, err := strconv.ParseUint(f[i], 10, 32)
		if err != nil {
			return m, fault.New(fault.Invalid, "idmap: %q is not FROM-TO-LENGTH", word)
		}
		*into = uint32(n)
	}
	return m, nil
}

// toHost turns ids of the container into ids of the machine.
func toHost(m *specs.LinuxIDMapping, container []specs.LinuxIDMapping) error {
	for _, c := range container {
		if m.HostID >= c.ContainerID && uint64(m.HostID)+uint64(m.Size) <= uint64(c.ContainerID)+uint64(c.Size) {
			m.HostID += c.HostID - c.ContainerID
			return nil
		}
	}
	return fault.New(fault.Invalid, "idmap: the container's mapping has no %d ids from %d on", m.Size, m.HostID)
}

// usersInput is the input of that name, asked for once.
func (c *compiler) usersInput(what string) Slot {
	for _, in := range c.maps {
		if in.What == what {
			return Slot(in.FD - SlotBase)
		}
	}
	s := c.take()
	c.maps = append(c.maps, Input{What: what, FD: s.FD()})
	return s
}

// mapWord is a mapping in one word: "0-100000-65536,65536-0-1". With blanks
// and new lines in place of the marks it is what uid_map takes.
func mapWord(maps []specs.LinuxIDMapping) string {
	var b []byte
	for i, m := range maps {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(m.ContainerID), 10)
		b = strconv.AppendUint(append(b, '-'), uint64(m.HostID), 10)
		b = strconv.AppendUint(append(b, '-'), uint64(m.Size), 10)
	}
	return string(b)
}

// maxMappings is how many lines the kernel takes; user_namespaces(7).
const maxMappings = 340

// checkMapping refuses what the kernel would refuse once things are made.
func checkMapping(at string, maps []specs.LinuxIDMapping) error {
	if len(maps) > maxMappings {
		return fault.New(fault.Invalid, "%s: %d entries, the kernel takes %d", at, len(maps), maxMappings)
	}
	for i, m := range maps {
		here := at + "[" + strconv.Itoa(i) + "]"
		const end = 1<<32 - 1 // the last id means none
		if m.Size == 0 || uint64(m.ContainerID)+uint64(m.Size) > end || uint64(m.HostID)+uint64(m.Size) > end {
			return fault.New(fault.Invalid, "%s.size: %d is not possible", here, m.Size)
		}
		for _, o := range maps[:i] {
			if overlap(m.ContainerID, m.Size, o.ContainerID, o.Size) || overlap(m.HostID, m.Size, o.HostID, o.Size) {
				return fault.New(fault.Invalid, "%s: has ids of an earlier entry", here)
			}
		}
	}
	return nil
}

func overlap(a, an, b, bn uint32) bool {
	return uint64(a) < uint64(b)+uint64(bn) && uint64(b) < uint64(a)+uint64(an)
}

// checkMappings: a new user namespace has a map, a container without has none.
func (c *compiler) checkMappings() error {
	l := c.spec.Linux
	if err := checkMapping("linux.uidMappings", l.UIDMappings); err != nil {
		return err
	}
	if err := checkMapping("linux.gidMappings", l.GIDMappings); err != nil {
		return err
	}
	switch {
	case c.plan.Clone.IDMaps && len(l.UIDMappings) == 0:
		return fault.New(fault.Invalid, "linux.uidMappings: missing; a new user namespace needs them")
	case c.plan.Clone.IDMaps && len(l.GIDMappings) == 0:
		return fault.New(fault.Invalid, "linux.gidMappings: missing; a new user namespace needs them")
	case !c.inUserns() && len(l.UIDMappings)+len(l.GIDMappings) > 0:
		return fault.New(fault.Invalid, "linux.uidMappings, linux.gidMappings: there is no user namespace in linux.namespaces that they could be for")
	}
	if c.plan.Clone.IDMaps {
		return checkUser(&c.spec.Process.User, l)
	}
	return nil
}

// checkUser wants the payload's ids in the maps.
func checkUser(u *specs.User, l *specs.Linux) error {
	if _, ok := HostID(l.UIDMappings, u.UID); !ok {
		return fault.New(fault.Invalid, "process.user.uid: %d is not in linux.uidMappings", u.UID)
	}
	if _, ok := HostID(l.GIDMappings, u.GID); !ok {
		return fault.New(fault.Invalid, "process.user.gid: %d is not in linux.gidMappings", u.GID)
	}
	for i, g := range u.AdditionalGids {
		if _, ok := HostID(l.GIDMappings, g); !ok {
			return fault.New(fault.Invalid, "process.user.additionalGids[%d]: %d is not in linux.gidMappings", i, g)
		}
	}
	return nil
}

// HostID is the machine's number of a container's user or group; false where
// the map has none.
func HostID(maps []specs.LinuxIDMapping, id uint32) (uint32, bool) {
	for _, m := range maps {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return m.HostID + id - m.ContainerID, true
		}
	}
	return 0, false
}

// Holder plans a process that only has a user namespace: its parent writes the
// maps at Born, opens the namespace, and ends it there.
func Holder() *Plan {
	return &Plan{
		Clone:  Clone{Flags: namespaceFlag(specs.UserNamespace), IDMaps: true},
		Phases: []Phase{{"hold", []Step{DieWithParent{}, WaitFor{Born}}}},
	}
}
