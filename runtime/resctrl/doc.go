// Package resctrl puts containers into groups of the resctrl file system, by
// which the kernel divides caches and memory bandwidth: linux.intelRdt in the
// OCI specification, resctrl.rst in the kernel's documentation.
//
//	MOUNT/                      Find: where it is mounted
//	├── schemata, tasks         the group of everybody
//	├── info/last_cmd_status    why the last write was refused
//	└── CLOSID/                 Group.Dir: named by closID or after the container
//	    ├── schemata            what its tasks may have
//	    ├── tasks               who is in it
//	    └── mon_groups/ID/      Group.Monitor: counts for one container
//
// Choose decides on a group without touching anything, so that it can be
// recorded first; Make makes it, Remove takes away what is the container's own.
// Processes enter by themselves, by writing "0" to tasks in Dirs, as plans do
// with groups of cgroup v1. Check is pure.
package resctrl
