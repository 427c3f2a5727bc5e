package oci

import (
	"errors"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/launch"
	"github.com/berth-engine/berth/runtime/plan"
)

// explainExec says more about a payload that could not be executed at a site.
func explainExec(at site, p *specs.Process, err error) error {
	var step *launch.StepError
	if !errors.As(err, &step) {
		return err
	}
	switch s := step.Step.(type) {
	case plan.Mount:
		if s.Plain && (errors.Is(step.Errno, unix.ELOOP) || errors.Is(step.Errno, unix.ENOTDIR)) {
			return fault.New(fault.Invalid, "%s must be mounted on ordinary directory: %w", s.To, err)
		}
	case plan.FindExecutable:
		return execError(s.Name, !strings.Contains(s.Name, "/"), step.Errno, err)
	case plan.Exec:
		return explainErrno(at, p, step.Errno, err)
	}
	return err
}

// ExecError is a payload that could not be executed. Its code is what a shell
// would exit with: 127 for what is not there, 126 for what is no program.
type ExecError struct {
	err  error
	code int
	line string // see Line
}

func (e *ExecError) Error() string { return e.err.Error() }

// Unwrap gives the class and the step.
func (e *ExecError) Unwrap() error { return e.err }

// ExitCode proposes the exit code of a command line.
func (e *ExecError) ExitCode() int { return e.code }

// Line is what the kernel says of a program that was found and could not be
// executed: "exec NAME: ERROR", the whole of what runc prints then. Else it is
// empty.
func (e *ExecError) Line() string { return e.line }

const (
	codeCannotRun = 126
	codeNotFound  = 127
)

// explainErrno explains a failed execve(2) of a program that was found before.
func explainErrno(at site, p *specs.Process, errno, err error) error {
	name := p.Args[0]
	if errors.Is(errno, unix.ENOENT) {
		why := at.why(p)
		if why == "" {
			why = "the file is there, but the interpreter that its first line or its ELF header names is not"
		}
		err = &ExecError{err: fault.New(fault.NotFound, "exec %s: %s: %w", name, why, err), code: codeNotFound}
	} else {
		err = execError(name, false, errno, err)
	}
	var e *ExecError
	if errors.As(err, &e) {
		e.line = "exec " + name + ": " + errno.Error()
	}
	return err
}

func execError(name string, searched bool, errno error, err error) error {
	switch {
	case errors.Is(errno, unix.ENOENT) && searched:
		return &ExecError{err: fault.New(fault.NotFound, "exec: %q: executable file not found in $PATH: %w", name, err), code: codeNotFound}
	case errors.Is(errno, unix.ENOENT), errors.Is(errno, unix.ENOTDIR):
		return &ExecError{err: fault.New(fault.NotFound, "exec: %q: stat %s: no such file or directory: %w", name, name, err), code: codeNotFound}
	case errors.Is(errno, unix.EACCES):
		err = fault.New(fault.Denied, "exec: %q: permission denied: %w", name, err)
	case errors.Is(errno, unix.ENOEXEC):
		err = fault.New(fault.Denied, "exec: %q: exec format error (not a program for this machine, and no #! line): %w", name, err)
	default:
		err = fault.New(fault.Denied, "exec: %q: %w", name, err)
	}
	return &ExecError{err: err, code: codeCannotRun}
}
