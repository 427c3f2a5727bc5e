package snapshot

import "github.com/berth-engine/berth/internal/mount"

// Tree is a directory that a driver works on.
type Tree struct {
	// Dir of a committed tree holds the layer's files, with deletions in the
	// form of overlay. Dir of an active tree belongs to the driver, which may
	// keep what it likes in it. It is absolute.
	Dir string
	// Host marks the machine's own "/", which is only ever a parent.
	Host bool
}

// Driver makes a container's writable view of a stack of committed trees.
//
// It keeps no records and no state of its own. The store calls it for one tree
// at a time, but for different trees concurrently. Parents come topmost first
// and are only read. A suite for all drivers is in package snaptest.
type Driver interface {
	// Create fills t.Dir, an empty directory with mode 0700, so that Mounts
	// will show the parents and an empty layer above them. After an error the
	// store removes t.Dir.
	Create(t Tree, parents []Tree) error
	// Mounts says how to mount t, which Create made; ro asks for a view that
	// cannot be written. It does no I/O.
	Mounts(t Tree, parents []Tree, ro bool) []mount.Mount
	// Remove deletes t.Dir with all in it. What is gone already is no error,
	// so a Remove that was interrupted can be repeated.
	Remove(t Tree) error
}

// Sizer is for drivers that know where an active tree's own files are.
type Sizer interface {
	// Own returns the directory that holds what was written to t, without the
	// parents' files, and false if the driver cannot tell them apart.
	Own(t Tree) (dir string, ok bool)
}

// Volatile is for drivers whose mounts can do without the disk: when the last
// user of such a mount ends, nobody waits for what was written.
type Volatile interface {
	// Volatile says how to mount t, as Mounts does, and makes t fit for it
	// if it was mounted so before.
	Volatile(t Tree, parents []Tree) ([]mount.Mount, error)
}
