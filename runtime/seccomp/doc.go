// Package seccomp turns a container's system call profile into the program
// that the kernel runs before every system call.
//
//	Docker JSON ──FromDocker──┐
//	                          ├──► specs.LinuxSeccomp ──Compile──► Filter{Prog, Flags}
//	(nothing) ──────Default───┘                                        │
//	                                      Simulate, Disassemble ◄──────┘
//
// Default is what a container gets that asked for nothing, FromDocker reads
// the file of --security-opt seccomp=FILE, Compile makes the filter. Installing
// it is the launcher's work: this package is pure and makes no system call.
//
// A profile with SCMP_ACT_NOTIFY sets Filter.NotifyUsed: seccomp(2) then returns
// a listener, which must be on its way to the profile's listenerPath before the
// child makes a call that the filter hands over, of which exec may be one.
//
// # What a profile means
//
// Compile reads a profile as runc does with libseccomp:
//
//   - A call that no rule names gets the default action; one that is newer than
//     every call the profile names gets ENOSYS, so that libc takes its old way.
//   - All conditions of a rule must hold. Only when two of them look at the same
//     argument is the rule read as several rules with one condition each.
//   - Of the rules for one call, one without conditions decides alone (the first
//     such); otherwise the first whose conditions hold decides.
//   - A rule that only repeats the default action is no rule.
//   - Unknown names are skipped: profiles name calls of all kernels and machines.
//   - A call through an ABI the profile does not list kills the process.
//
// # Where it differs from libseccomp
//
// The tests compare the two, and the kernel's own opinion, for a corpus of
// profiles; the list of differences stands there with reasons. In short:
//
//   - The program searches the call's number in a binary tree of ranges, and a
//     number costs about eight compares instead of a walk through all rules.
//   - A call through a foreign ABI kills the process, not only the thread.
//   - Of two rules with overlapping conditions and different actions, libseccomp
//     takes the one its own order puts first; here it is the one written first.
//   - Arguments of x32 are compared in all their 64 bits, which the kernel uses.
//   - i386 can reach socket and ipc calls through socketcall(2) and ipc(2), whose
//     arguments a filter cannot see. A rule without conditions covers that way
//     too, as does a conditional rule that forbids; a conditional rule that
//     allows does not open it (libseccomp opens it).
//
// What a filter cannot do: look behind pointers. A limit on socket families is
// therefore no limit for a 32-bit program where the profile allows socketcall,
// as Docker's and ours do; only a security module can close that.
package seccomp

//go:generate go run gen.go
