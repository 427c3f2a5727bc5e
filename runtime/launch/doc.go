// Package launch runs plans: it turns steps into machine words, and a child
// works them off until it is the payload.
//
//	plan.Plan ──Assemble──► Program ──Start──► Process
//
//	parent                                child
//	  │ memfd: interpreter, ops, data; sealed
//	  │ fork + exec of it, in new namespaces ──► for each op:
//	  │                                            report.op = n
//	  │ ◄── one byte: a Point ──────────────────   system call
//	  │     at(point, process)                     keep descriptor / accept error / skip
//	  │ ─── one byte: go on ──────────────────►    else report.errno, exit
//	  │ ◄── end of file ────────────────────────  execve
//
// The child never runs Go code of ours. Right after package syscall's own fork
// it executes an image of a few pages, made in memory for this one start: some
// 400 bytes of interpreter (assembly, interpreter_ARCH.s) and the program.
// That has three good effects. The caller's memory is not copied, so starting
// takes the same time whatever the caller's size, and the child has nothing of
// it to lose. What stands behind the child's /proc/PID/exe is the sealed
// image, so no container gets hold of our binary there. And there is no
// borrowed corner of the Go runtime: fork and clone flags are package
// syscall's.
//
// The end of file on the pair of sockets says that exec happened or the child
// died; the report, a small file that it has mapped, says which. It needs
// no descriptor in the child, works under any filter, and outlives the parent.
//
// The only unsafe line of the package reads the interpreter's code out of our
// own text.
package launch
