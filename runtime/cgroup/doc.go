// Package cgroup puts a container into control groups: it makes them, writes
// the limits, and gives numbers, freezer, kill switch and removal.
//
//	specs.LinuxResources ──Files──► [{controller, file, text}] ──Create, Apply──► cgroupfs
//	         │                            (pure, printed by explain)
//	         └─DeviceRules──► [Rule] ──► devices.allow/deny (v1) or a BPF program (v2)
//
//	Detect ──► Layout ──Manager("/berth/ID")──► Manager ──Paths──► state file ──Reopen──► Manager
//
// A container has one group of the same name in every hierarchy that is
// mounted. On a v1 machine these are several directories, on a v2 machine one,
// on a hybrid machine several and one:
//
//	/sys/fs/cgroup/memory/berth/ID   v1     tasks, memory.limit_in_bytes, …
//	/sys/fs/cgroup/pids/berth/ID     v1
//	/sys/fs/cgroup/unified/berth/ID  v2     cgroup.procs, cgroup.kill, …
//
// A process gets in by one of three ways, the fastest first: clone3 with
// CLONE_INTO_CGROUP and the descriptor of Dir (v2 only), writing "0" to Doors
// itself (v1), or Enter, by somebody else's hand.
//
// # Who owns what
//
// Create makes the last directory of the path and whichever are missing above
// it. A last directory that is there already is taken over when it holds no
// process, and goes with the container, as with other runtimes. Directories
// above it are removed only if berth made them (they carry an extended
// attribute that says so) and nobody else is in them. Nothing else is ever
// changed, with two exceptions that a child needs to work at all: an empty v1
// cpuset is filled from its parent, and on v2 controllers are switched on in
// cgroup.subtree_control on the way down.
//
// # With systemd
//
// Layout.Scope gives a group that systemd makes and knows as a unit; package
// systemd below speaks with it. Whatever has a property there is told to
// systemd before it is written, because systemd writes it again at will.
//
// The package never mounts anything.
package cgroup
