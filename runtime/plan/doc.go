// Package plan turns an OCI runtime specification into a list of steps.
//
//	specs.Spec + rootfs mounts + Facts ──Compile──► Plan ──Lower──► Explain
//	                                                 │
//	                                                 └─► launch.Assemble ─► system calls
//
// A Plan has three parts: how the child is born (Clone), what the parent opens
// beforehand (Inputs), and what the child does, in order (Phases of Steps).
// Every Step lowers to a few Calls: one system call each, with constant
// arguments. Descriptors have numbers fixed in the plan: slot 0 is descriptor
// 64 in the child. A Call can do four things besides its work: tolerate named
// errors, keep the returned descriptor in a slot, skip forward, and (once,
// for a joined pid namespace) go on in a new process. It cannot jump back, so
// every program ends.
//
// The package is pure: it opens nothing and asks nobody. What it must know of
// the machine stands in Facts. Nothing security relevant rests on a Fact that
// may change: where the world can differ at run time the calls resolve below
// the root with openat2 and name the errors they accept.
package plan
