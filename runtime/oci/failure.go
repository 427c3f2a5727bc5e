package oci

import (
	"errors"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/launch"
	"github.com/berth-engine/berth/runtime/plan"
)

// explainExec says more about a payload that could not be executed.
func explainExec(p *specs.Process, err error) error {
	var step *launch.StepError
	if !errors.As(err, &step) {
		return err
	}
	switch s := step.Step.(type) {
	case plan.FindExecutable:
		return execError(s.Name, len(s.Paths) > 1, step.Errno, err)
	case plan.Exec:
		return explainErrno(p.Args[0], step.Errno, err)
	}
	return err
}

// explainErrno explains a failed execve(2) of a program that was found before.
func explainErrno(name string, errno, err error) error {
	if errors.Is(errno, unix.ENOENT) {
		return fault.New(fault.NotFound, "exec %s: no such file or directory: the file is there, but the interpreter that its first line or its ELF header names is not: %w", name, err)
	}
	return execError(name, false, errno, err)
}

func execError(name string, searched bool, errno error, err error) error {
	switch {
	case errors.Is(errno, unix.ENOENT) && searched:
		return fault.New(fault.NotFound, "exec: %q: executable file not found in $PATH: %w", name, err)
	case errors.Is(errno, unix.ENOENT), errors.Is(errno, unix.ENOTDIR):
		return fault.New(fault.NotFound, "exec: %q: stat %s: no such file or directory: %w", name, name, err)
	case errors.Is(errno, unix.EACCES):
		return fault.New(fault.Denied, "exec: %q: permission denied: %w", name, err)
	case errors.Is(errno, unix.ENOEXEC):
		return fault.New(fault.Denied, "exec: %q: exec format error (not a program for this machine, and no #! line): %w", name, err)
	}
	return fault.New(fault.Denied, "exec: %q: %w", name, err)
}
