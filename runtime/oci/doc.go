// Package oci is the life cycle of one container as the OCI runtime
// specification has it: create, start, state, kill, delete, and exec.
//
//	bundle/config.json ──► plan ──► launch ──► process
//
//	ROOT/ID/state.json   what is known of the container (State)
//	ROOT/ID/start        a FIFO; the child waits on it until start writes
//	ROOT/ID/report       what the child is doing, or why it did not get on
//
// A container's status is never stored, it follows from its process: gone is
// stopped; waiting on the FIFO is created; frozen is paused; else running. The
// process is known by its pid and start time, so a pid used again is no
// confusion.
//
// Checkpoint and Restore have CRIU write a container to files and make it of
// them; what CRIU has to be told is decided here, package criu asks it.
//
// The root of a container may come as mounts beside the specification, in
// bundle/rootfs.json: that is how berth's engine hands over a copy-on-write
// tree, which then exists in the container's mount namespace only.
package oci
