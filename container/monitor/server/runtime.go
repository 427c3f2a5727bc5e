package server

import (
	"context"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Runtime makes containers. Errors carry a fault class; one with a method
// ExitCode() int proposes the exit code of the command line. All methods may
// be called at the same time, Run and Delete of one id one after the other.
type Runtime interface {
	// Run makes a container and returns once its payload's exec is done or
	// has failed; then nothing is left. The caller keeps its copies of the files.
	Run(ctx context.Context, b Bundle) (Proc, error)
	// Exec starts a further process; stdio is not used with p.Terminal.
	Exec(ctx context.Context, id string, p *specs.Process, stdio [3]*os.File) (Proc, error)
	// Kill signals the first process, or all of them.
	Kill(id string, sig int, all bool) error
	Pause(ctx context.Context, id string) error
	Resume(ctx context.Context, id string) error
	// Delete removes what Create made; with force it kills what still runs.
	Delete(ctx context.Context, id string, force bool) error
	// OOMKilled reports whether the kernel killed a process of the container
	// for memory, and as far as its log still tells, which. Asked after the end
	// and before Delete.
	OOMKilled(id string) (killed bool, victims []string, err error)
	// Adopt finds the process of a container made by another monitor.
	Adopt(ctx context.Context, id string) (Proc, error)
}

// Bundle is what Create needs.
type Bundle struct {
	ID, Dir string
	// The payload's own descriptors; nil with TTY.
	Stdin, Stdout, Stderr *os.File
	TTY                   bool
	Console               func(master *os.File) error // with TTY: takes the terminal, before the payload runs
}

// Proc is a process that a Runtime started or found. The server closes its
// files.
type Proc struct {
	Pid        int
	Pidfd      *os.File // nil: the server opens one
	StartTicks uint64   // 0: the server looks it up
	Console    *os.File // with a terminal: its master side
}
