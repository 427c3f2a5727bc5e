package plan

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/mount"
)

// Mount is one mount of the container: a file system of its own, or with Bind
// a copy of a tree of the host.
type Mount struct {
	Bind   bool
	New    NewMount // when not Bind
	Source string   // of a bind, as seen before the root changes
	To     string
	IsDir  bool
	Plain  bool // the target must be an ordinary directory, no link: /proc, /sys
	Flags  mount.Flags
	Users  Slot // user namespace whose map applies to the owners; 0 for none
	// Locked: the tree is copied into another user namespace, where what the
	// host has set cannot be taken away.
	Locked bool
	// Have is the slot of a tree that Bring made; 0: the step makes its own.
	Have Slot
}

func (s Mount) String() string { return s.words() + " on " + s.To }

func (s Mount) words() string {
	words := s.New.FS
	if s.Bind {
		words = "bind " + s.Source
	}
	if a := mount.AttrWords(s.Flags.Set | s.Flags.RecSet); a != "" {
		words += " (" + a + ")"
	}
	if s.Users != 0 {
		words += " with mapped owners"
	}
	return words
}

// Calls implements Step.
func (s Mount) Calls() []Call {
	tree := s.Have
	var cs []Call
	if tree == 0 {
		tree = Tree
		cs = s.tree(tree)
	}
	how := uint64(inRoot)
	if s.Plain {
		how = noLinks
	}
	cs = append(cs, resolve(Root, s.To, s.IsDir, how, Temp, Target)...)
	return append(cs, attach(tree, Target))
}

// Bring makes the tree of a mount ahead of its time, in slot Mount.Have: while
// the child has the right to map its owners, or is still the user who can
// reach its source.
type Bring struct{ Mount Mount }

func (s Bring) String() string { return "have ready: " + s.Mount.words() }

// Calls implements Step.
func (s Bring) Calls() []Call { return s.Mount.tree(s.Mount.Have) }

// tree makes the detached mount with all its attributes, so that it is never
// visible with fewer.
func (s Mount) tree(into Slot) []Call {
	var cs []Call
	f := s.Flags
	if s.Bind {
		cs = append(cs, cloneTree(cwd(), s.Source, f.Recursive, into))
	} else {
		n := s.New
		n.Into = into
		cs = append(cs, newMount(n)...)
	}
	if s.Users != 0 {
		cs = append(cs, mapOwners(into, s.Users, f.IDMapRec))
	}
	if s.Bind && f.Named {
		cs = append(cs, s.onlyNamed(into)...)
	}
	if f.RecSet|f.RecClear != 0 {
		cs = append(cs, setattr(into, true, f.RecSet, f.RecClear, 0))
	}
	p, rec := f.Propagation, f.PropagationRec
	if p == 0 && s.Bind {
		p, rec = unix.MS_PRIVATE, true
	}
	if p != 0 {
		cs = append(cs, setattr(into, rec, 0, 0, p))
	}
	return cs
}

// bindFlags are what a bind mount loses when it names one of them and not the others.
var bindFlags = [...]uint64{
	unix.MOUNT_ATTR_RDONLY, unix.MOUNT_ATTR_NOSUID, unix.MOUNT_ATTR_NODEV,
	unix.MOUNT_ATTR_NOEXEC, unix.MOUNT_ATTR_NOSYMFOLLOW,
}

// onlyNamed sets the named flags and clears the others. A flag that is locked
// stays, unless it was named: then the kernel refuses.
func (s Mount) onlyNamed(t Slot) []Call {
	f := s.Flags
	var others uint64
	for _, bit := range bindFlags {
		others |= bit &^ (f.Set | f.Clear)
	}
	if !s.Locked {
		return []Call{setattr(t, false, f.Set, f.Clear|others, 0)}
	}
	var cs []Call
	if f.Set|f.Clear != 0 {
		cs = append(cs, setattr(t, false, f.Set, f.Clear, 0))
	}
	for _, bit := range bindFlags {
		if others&bit != 0 {
			cs = append(cs, setattr(t, false, 0, bit, 0).ok(unix.EPERM))
		}
	}
	return cs
}

// mapOwners shows the owners of a tree through the map of a user namespace;
// see mount_setattr(2), "ID-mapped mounts".
func mapOwners(t, users Slot, recursive bool) Call {
	c := setattr(t, recursive, unix.MOUNT_ATTR_IDMAP, 0, 0)
	how := &c.Args[3]
	binary.NativeEndian.PutUint64(how.Data[24:], uint64(users.FD()))
	how.Show = "{+idmap " + users.String() + "}"
	return c
}
