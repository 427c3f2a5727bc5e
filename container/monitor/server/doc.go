// Package server is the process beside a running container: its parent, the
// keeper of its log and of its exit status, and the one to ask about it.
//
//	              ┌──────────────── monitor ────────────────┐
//	payload ─FIFO─┼► pump ─┬─► logfile.Writer               │
//	   ▲    or pty│        └─► attached clients (bounded)   │◄── ctl.sock, fd 3
//	   └──stdin───┼◄──────────  their stdin (windowed)      │
//	pidfd ────────┼► reap ──► status.json ──► who waits     │
//	              └── restart policy ─┘                     │
//
// Run serves a new container, Adopt one whose monitor was killed. The monitor
// makes the container through a Runtime and knows nothing about how that is
// done. It ends when the container has ended for good, everybody who waits was
// told, and, with --rm, somebody has taken on the removal.
//
// It is small on purpose: nothing that is idle holds a thread or a buffer, and
// it has no secrets, because the payload is forked from it.
package server
