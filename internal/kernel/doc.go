// Package kernel asks the running kernel: which process is which, what
// features there are, which system calls lack a wrapper elsewhere.
//
//	StartTicks, Alive   a pid and its start time name one process for ever
//	BootID              numbers from an earlier boot mean nothing
//	LastCap             capabilities this kernel has
//	Caps                capabilities we have
//	SELinux             labels mean something
//	FileLimit           descriptors we could have open
//	RaiseLoopback       lo of a new network namespace
//	Random              bytes for identifiers
//	Apart, OwnMounts    a thread that takes what it changed with it
//	UsualThread         what is forked has the timers that we were started with
//	LowerAppend         overlay takes its layers one by one
//	Scatter             ext4 spreads what is in a directory over the disk
//	Spread, MkdirSpread what comes and goes there shares a few parts of the disk
package kernel
