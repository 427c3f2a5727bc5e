// Bench measures berth against the engines that are installed, side by side in
// one run, and prints the table of docs/benchmarks.md.
//
//	go run ./test/bench                            all rows
//	go run ./test/bench -rows oci,exec -rounds 50  some of them
//	go run ./test/bench -write docs/benchmarks.md  and keep the page
//
// The contenders of a row take turns (A B C B C A …), each on a machine at rest,
// so that a busy moment of the machine hits all of them and nobody's start is
// paid for by another's; medians are compared.
//
//	bench ── clone(mnt, net, pid) ──► init ──► work: rows
//	  │                                          ├─ dockerd, containerd   own directories
//	  │                                          ├─ podman                own --root --runroot
//	  └─ removes directories and cgroups         └─ docker-registry       loopback of the namespace
//
// Everything that a peer starts lives in these namespaces and ends with them:
// see test/apart and test/engines.
package main
