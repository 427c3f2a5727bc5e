// Package snapshot keeps copy-on-write directory trees.
//
//	host ◄──────────────────── key c0     "/" of this machine as a base
//
//	name A ◄── name B ◄── name C          committed layers: read-only, may
//	                        ▲             have children, survive power cuts
//	                        └─ key c1     active: writable, one container's
//
// Stage makes a private directory to unpack one layer into and Commit turns it
// into a name; layers of one image may be staged in parallel. Prepare makes a
// writable tree on a name, Mounts says how to mount it, Remove throws it away.
//
// Store keeps the records; a Driver makes, describes and deletes the writable
// trees. Nothing here mounts anything: the container's own launcher does that,
// in the container's own mount namespace. Snapshot knows nothing of images or
// tar files. docs/decisions/021-snapshot-records.md describes what is on disk.
package snapshot
