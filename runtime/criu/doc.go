// Package criu has CRIU write a container to files, or make one of them.
//
// CRIU is asked in protobuf. A library that speaks it has no place in a program
// that starts for each container, so it is in one of its own, berth-criu, and
// what is said between the two is JSON, one message a packet:
//
//	berth-oci ──Request──► berth-criu ──CriuReq──► criu swrk ──ptrace──► container
//	    │    ◄───Event────     │      ◄─CriuResp──     │
//	    │    ────Answer──►     │                       │
//	    └ starts both ─────────┴───────────────────────┤
//	    └ parent of ◄── restored first process ────────┘ CLONE_PARENT
//
// Both are children of the process that calls Job.Run, and so is the first
// process of a container that CRIU makes (it calls that a sibling): whoever
// asks waits for it as for one that it has made itself, and nobody has to stand
// between the two.
//
// Fill in a Job and call its Run. The package knows nothing of bundles and
// specifications: what is external to a container, and what it inherits, is
// decided by its caller.
package criu
