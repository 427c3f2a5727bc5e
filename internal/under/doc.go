// Package under opens, makes and removes files below a directory without ever
// leaving it, whatever links and mounts are found there.
//
//	OpenRoot("/var/lib/…/fs") ─► Root ── Open("etc/passwd") ──► file
//	                              │         every "/" and ".." of every link
//	                              │         is taken from Root, by the kernel
//	                              └───── MkdirAll("var/run/app")
//
//	RemoveTree("/var/lib/…/keys/c1")   the tree and nothing mounted in it
//
// Paths given to a Root may come from images and containers. They are resolved
// by openat2(RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS) in one go, so there is no
// moment between looking and using. Absolute links are legal and mean "from the
// root". A kernel without openat2 (before 5.6) is refused: there is no second
// way that is as safe.
//
// Under does not lock anything: two processes in one tree see each other's
// half-finished work, but neither can lead the other outside.
package under
