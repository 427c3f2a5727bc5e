package plan

import (
	"encoding/binary"
	"path"
	"strings"

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
	// Fresh: it goes below a file system that was made just before, in which
	// there are no links.
	Fresh bool
	// TakeMode: it gets the mode of the directory that it covers.
	TakeMode bool
	// In is the directory of To, where nothing has that name; 0: it is looked up.
	In Slot
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
func (s Mount) Calls(cs []Call) []Call {
	tree := s.Have
	if tree == 0 {
		tree = Tree
		cs = s.tree(cs, tree)
	}
	switch {
	case s.In != 0:
		name := path.Base(s.To)
		cs = append(cs, mkdirat(s.In, name, 0o755), openat2(s.In, name, unix.O_PATH, 0, noLinks).into(Target))
	case s.Plain:
		cs = resolve(cs, Root, s.To, s.IsDir, noLinks, Temp, Target)
		if s.Bind {
			cs = wait(cs, Checked)
		}
	case s.Fresh && !s.Fills():
		cs = resolve(cs, Root, s.To, s.IsDir, inRoot, Temp, Target)
	default:
		cs = s.target(cs)
	}
	return append(cs, attach(tree, Target))
}

// target appends what opens the place of the mount in slot Target, and fills
// the mount from it if that is asked for. Without links on the way that needs
// nobody: what is missing is made, directories 0755. A link may lead to where
// nothing may be mounted, or to nothing: then the parent makes the target, and
// looks at what the child has opened.
func (s Mount) target(cs []Call) []Call {
	const links = 5 // calls of the way with links
	fill := 0       // calls to fill the mount
	readOnly := s.Flags.Set&unix.MOUNT_ATTR_RDONLY != 0
	switch {
	case s.Fills() && readOnly:
		fill = 3
	case s.Fills():
		fill = 2
	}
	rel := relative(s.To)
	first := len(cs)
	cs = append(cs, openat2(Root, rel, unix.O_PATH, 0, noLinks).into(Target).ok(unix.ENOENT, unix.ELOOP))
	cs = createPlain(cs, rel, s.IsDir, links+fill)
	cs[first] = cs[first].skip(len(cs) - first - 1 + links)

	cs = wait(cs, Linked)
	cs = append(cs, openat2(Root, rel, unix.O_PATH, 0, inRoot).into(Target))
	cs = wait(cs, Checked)
	if s.Fills() {
		cs = wait(cs, Filled)
		if readOnly {
			cs = append(cs, setattr(Tree, false, unix.MOUNT_ATTR_RDONLY, 0, 0))
		}
	}
	return cs
}

// createPlain appends what makes a target that is missing, on a way without
// links, and opens it; then it skips the next calls. With a link on the way it
// falls through to them.
func createPlain(cs []Call, rel string, isDir bool, skip int) []Call {
	parent, last := Root, rel
	for at := 0; strings.Contains(last, "/"); {
		var name string
		name, last, _ = strings.Cut(last, "/")
		at += len(name)
		rest := 4*strings.Count(last, "/") + 2 // calls until the link's turn
		open := openat2(Root, rel[:at], unix.O_PATH|unix.O_DIRECTORY, 0, noLinks).into(Temp)
		cs = append(cs,
			open.ok(unix.ENOENT, unix.ELOOP).skip(3),
			mkdirat(parent, name, 0o755).ok(unix.EEXIST),
			open.ok(unix.ELOOP).skip(1),
			jump(rest))
		parent, at = Temp, at+1
	}
	if isDir {
		cs = append(cs, mkdirat(parent, last, 0o755).ok(unix.EEXIST))
	} else {
		cs = append(cs, mknodat(parent, last, unix.S_IFREG|0o644, 0).ok(unix.EEXIST))
	}
	return append(cs, openat2(Root, rel, unix.O_PATH, 0, noLinks).into(Target).ok(unix.ELOOP).skip(skip))
}

// Fills says whether the mount takes something of what it covers.
func (s Mount) Fills() bool { return s.TakeMode || s.Flags.CopyUp }

// Bring makes the tree of a mount ahead of its time, in slot Mount.Have: while
// the child has the right to map its owners, or is still the user who can
// reach its source.
type Bring struct{ Mount Mount }

func (s Bring) String() string { return "have ready: " + s.Mount.words() }

// Calls implements Step.
func (s Bring) Calls(cs []Call) []Call { return s.Mount.tree(cs, s.Mount.Have) }

// tree appends what makes the detached mount with all its attributes, so that
// it is never visible with fewer.
func (s Mount) tree(cs []Call, into Slot) []Call {
	f := s.Flags
	if s.Bind {
		cs = append(cs, cloneTree(cwd(), s.Source, f.Recursive, into))
	} else {
		n := s.New
		n.Into = into
		if s.Fills() { // read-only once it is filled
			n.Attr &^= unix.MOUNT_ATTR_RDONLY
		}
		cs = newMount(cs, n)
	}
	if s.Users != 0 {
		cs = append(cs, mapOwners(into, s.Users, f.IDMapRec))
	}
	if s.Bind && f.Named {
		cs = s.onlyNamed(cs, into)
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

// onlyNamed appends what sets the named flags and clears the others. A flag that is locked
// stays, unless it was named: then the kernel refuses.
func (s Mount) onlyNamed(cs []Call, t Slot) []Call {
	f := s.Flags
	var others uint64
	for _, bit := range bindFlags {
		others |= bit &^ (f.Set | f.Clear)
	}
	if !s.Locked {
		return append(cs, setattr(t, false, f.Set, f.Clear|others, 0))
	}
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
	how := []byte(c.args[3].S)
	binary.NativeEndian.PutUint64(how[24:], uint64(users.FD()))
	c.args[3] = blob(how, "{+idmap "+users.String()+"}")
	return c
}
