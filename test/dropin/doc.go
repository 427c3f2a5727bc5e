// Package dropin holds tests only: Debian's dockerd, containerd and podman with
// berth-oci as their runtime. What a user of these engines does must work, and
// nobody may notice who does it.
//
// The whole test process runs in namespaces of its own (test/apart), so
// bridges, mounts and daemons end with it. An engine is started when the first
// test asks for it.
package dropin
