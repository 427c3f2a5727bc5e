// Package seal gives a program that starts containers a copy of itself that
// nothing inside a container can write to.
//
// Until its execve, a container's first process runs the binary that forked
// it: /proc/self/exe leads from inside to the host's file (the class of
// CVE-2019-5736). So whatever forks payloads runs from a handle on which no
// write can ever succeed:
//
//	Open(path)   overlay   /usr/bin + a second lower directory, no upper: read-only by nature, ~0.1 ms
//	             bind      a detached read-only clone of the mount of the binary
//	             memfd     a copy in memory with all seals; last, it costs the binary's size
//	             plain     not root, and the file belongs to root: nothing to seal
//	IsSealed()   looks at /proc/self/exe itself, never at an environment variable
//	Exec(argv, env)  for a program that finds itself unsealed: seal, exec again, once
//
// The handle is close-on-exec. Its mount is in no namespace: no path leads to
// it, nothing can remount it, and it is gone with the last process that runs
// from it.
package seal
