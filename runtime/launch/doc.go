// Package launch runs plans: it turns steps into machine words and a forked
// child runs them with raw system calls until it is the payload.
//
//	plan.Plan ──Assemble──► Program ──Start──► Process
//
//	parent                               child (a fork, one thread, no Go runtime)
//	  │ clone3 ────────────────────────────► for each op:
//	  │                                         report.op = n
//	  │ ◄── one byte: a Point ───────────────   system call
//	  │     at(point, process)                  keep descriptor / accept error / skip
//	  │ ─── one byte: go on ───────────────►    else report.errno, exit
//	  │ ◄── end of file ─────────────────────  execve
//
// The end of file on the pair of sockets says that exec happened or the child
// died; the report, a small file that both have mapped, says which. It needs
// no descriptor in the child, works under any filter, and outlives the parent.
//
// Between fork and exec a Go program may not allocate, grow its stack, or take
// a lock: the child's loop is one function without stack checks that calls
// nothing but raw system calls, which a test proves on its machine code. Only
// this package uses unsafe and go:linkname for that.
//
// Fork copies the page tables of the caller, so callers are small programs.
package launch
