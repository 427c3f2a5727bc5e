package mount

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Flags are the options of one mount, sorted by the system call that takes
// them. See config.md, section "Linux mount options", of the OCI runtime
// specification, and mount_setattr(2).
type Flags struct {
	Set, Clear       uint64   // MOUNT_ATTR_* of the mount itself
	RecSet, RecClear uint64   // MOUNT_ATTR_* of the whole subtree (rro, rnosuid, …)
	Propagation      uint64   // MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE, or 0
	PropagationRec   bool     // rshared, rprivate, …
	Bind, Recursive  bool     // bind, rbind
	Super            []string // flags of the file system: sync, dirsync, …
	Data             []string // everything else: the file system's own words
	CopyUp           bool     // tmpcopyup
	IDMap, IDMapRec  bool     // idmap, ridmap
	Named            bool     // at least one attribute was named
}

// attr is what one generic option does to the mount's attributes.
type attr struct {
	set, clear uint64
}

// attrOf returns the attribute bits of an option without its r prefix.
func attrOf(option string) (attr, bool) {
	switch option {
	case "ro":
		return attr{set: unix.MOUNT_ATTR_RDONLY}, true
	case "rw":
		return attr{clear: unix.MOUNT_ATTR_RDONLY}, true
	case "nosuid":
		return attr{set: unix.MOUNT_ATTR_NOSUID}, true
	case "suid":
		return attr{clear: unix.MOUNT_ATTR_NOSUID}, true
	case "nodev":
		return attr{set: unix.MOUNT_ATTR_NODEV}, true
	case "dev":
		return attr{clear: unix.MOUNT_ATTR_NODEV}, true
	case "noexec":
		return attr{set: unix.MOUNT_ATTR_NOEXEC}, true
	case "exec":
		return attr{clear: unix.MOUNT_ATTR_NOEXEC}, true
	case "nodiratime":
		return attr{set: unix.MOUNT_ATTR_NODIRATIME}, true
	case "diratime":
		return attr{clear: unix.MOUNT_ATTR_NODIRATIME}, true
	case "noatime":
		return attr{set: unix.MOUNT_ATTR_NOATIME, clear: unix.MOUNT_ATTR__ATIME}, true
	case "strictatime":
		return attr{set: unix.MOUNT_ATTR_STRICTATIME, clear: unix.MOUNT_ATTR__ATIME}, true
	case "relatime", "atime", "norelatime", "nostrictatime":
		return attr{clear: unix.MOUNT_ATTR__ATIME}, true
	case "nosymfollow":
		return attr{set: unix.MOUNT_ATTR_NOSYMFOLLOW}, true
	case "symfollow":
		return attr{clear: unix.MOUNT_ATTR_NOSYMFOLLOW}, true
	}
	return attr{}, false
}

// propagationOf returns the MS_ flag of a propagation word without its r.
func propagationOf(option string) (uint64, bool) {
	switch option {
	case "shared":
		return unix.MS_SHARED, true
	case "slave":
		return unix.MS_SLAVE, true
	case "private":
		return unix.MS_PRIVATE, true
	case "unbindable":
		return unix.MS_UNBINDABLE, true
	}
	return 0, false
}

// ParseFlags sorts options. Later ones win over earlier ones, as in mount(8).
// An unknown word is data for the file system, which may refuse it.
func ParseFlags(options []string) Flags {
	var f Flags
	for _, o := range options {
		f.add(o)
	}
	return f
}

// Options are all words that ParseFlags knows, sorted. Others are data for the
// file system.
func Options() []string {
	words := []string{
		"async", "bind", "defaults", "dirsync", "idmap", "iversion", "lazytime", "loud", "mand", "noiversion",
		"nolazytime", "nomand", "rbind", "remount", "ridmap", "silent", "sync", "tmpcopyup",
	}
	for _, w := range []string{
		"atime", "dev", "diratime", "exec", "noatime", "nodev", "nodiratime", "noexec", "norelatime", "nostrictatime",
		"nosuid", "nosymfollow", "private", "relatime", "ro", "rw", "shared", "slave", "strictatime", "suid", "symfollow",
		"unbindable",
	} {
		words = append(words, w, "r"+w)
	}
	slices.Sort(words)
	return words
}

func (f *Flags) add(o string) {
	if a, ok := attrOf(o); ok {
		f.Named = true
		f.Set = f.Set&^(a.set|a.clear) | a.set
		f.Clear = f.Clear&^a.set | a.clear
		return
	}
	if p, ok := propagationOf(o); ok {
		f.Propagation, f.PropagationRec = p, false
		return
	}
	switch o {
	case "", "defaults", "async", "loud", "noiversion", "nolazytime", "nomand":
		return
	case "bind":
		f.Bind = true
		return
	case "rbind":
		f.Bind, f.Recursive = true, true
		return
	case "sync", "dirsync", "lazytime", "mand":
		f.Super = append(f.Super, o)
		return
	case "silent", "iversion", "remount":
		return
	case "tmpcopyup":
		f.CopyUp = true
		return
	case "idmap":
		f.IDMap = true
		return
	case "ridmap":
		f.IDMap, f.IDMapRec = true, true
		return
	}
	if f.addRecursive(o) || f.addMap(o) {
		return
	}
	f.Data = append(f.Data, o)
}

func (f *Flags) addRecursive(o string) bool {
	rest, ok := strings.CutPrefix(o, "r")
	if !ok {
		return false
	}
	if p, ok := propagationOf(rest); ok {
		f.Propagation, f.PropagationRec = p, true
		return true
	}
	a, ok := attrOf(rest)
	if !ok {
		return false
	}
	f.RecSet = f.RecSet&^(a.set|a.clear) | a.set
	f.RecClear = f.RecClear&^a.set | a.clear
	return true
}

// addMap is crun's idmap=MAP and ridmap=MAP; what the map is, the planner reads.
func (f *Flags) addMap(o string) bool {
	rest, recursive := strings.CutPrefix(o, "r")
	if !strings.HasPrefix(rest, "idmap=") {
		return false
	}
	f.IDMap, f.IDMapRec = true, recursive
	return true
}

// attrNames are the words for MOUNT_ATTR_ bits, lowest first.
var attrNames = [...]struct {
	bit  uint64
	name string
}{
	{unix.MOUNT_ATTR_RDONLY, "ro"},
	{unix.MOUNT_ATTR_NOSUID, "nosuid"},
	{unix.MOUNT_ATTR_NODEV, "nodev"},
	{unix.MOUNT_ATTR_NOEXEC, "noexec"},
	{unix.MOUNT_ATTR_NOATIME, "noatime"},
	{unix.MOUNT_ATTR_STRICTATIME, "strictatime"},
	{unix.MOUNT_ATTR_NODIRATIME, "nodiratime"},
	{unix.MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"},
}

// AttrWords spells MOUNT_ATTR_ bits as mount options, "" for none.
func AttrWords(bits uint64) string {
	var words []string
	for _, a := range attrNames {
		if bits&a.bit != 0 {
			words = append(words, a.name)
		}
	}
	return strings.Join(words, ",")
}
