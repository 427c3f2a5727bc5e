// Package mount has the value that rooms use to speak of mounts, the table of
// mount options, and what mountinfo does to paths.
//
// A Mount is a wish: nothing here calls mount(2). Drivers of copy-on-write
// trees return Mounts, bundles carry them, plan turns them into steps.
package mount

// Mount is one mount to be made. Type "bind" needs Source only; for other
// types Options are the file system's own words plus generic flags, as in
// fstab ("ro", "nosuid", "lowerdir=…").
type Mount struct {
	Type    string
	Source  string
	Target  string // absolute inside the root; empty for the root itself
	Options []string
}
