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
		return explainMount(s, step.Errno, err)
	case plan.FindExecutable:
		return execError(s.Name, !strings.Contains(s.Name, "/"), step.Errno, err)
	case plan.Exec:
		return explainErrno(at, p, step.Errno, err)
	}
	return err
}

func explainMount(m plan.Mount, errno, err error) error {
	switch {
	case m.Plain && (errors.Is(errno, unix.ELOOP) || errors.Is(errno, unix.ENOTDIR)):
		return fault.New(fault.Invalid, "%s must be mounted on ordinary directory: %w", m.To, err)
	case errors.Is(errno, unix.EINVAL):
		if option, why := refusedOption(m.New); option != "" {
			return fault.New(fault.Invalid, "mount %s: option %q: %s: %w", m.To, option, why, err)
		}
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

// refusedOption finds the option that a new file system does not take, by asking
// for it once more, and what the kernel has to say about it. Nothing is made.
// See fsopen(2), "Message retrieval".
func refusedOption(n plan.NewMount) (option, why string) {
	fs, err := unix.Fsopen(n.FS, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return "", ""
	}
	defer unix.Close(fs)
	for _, o := range n.Data {
		key, value, isString := strings.Cut(o, "=")
		if isString {
			err = unix.FsconfigSetString(fs, key, value)
		} else {
			err = unix.FsconfigSetFlag(fs, key)
		}
		switch {
		case errors.Is(err, unix.EINVAL):
			return o, fsWords(fs, err)
		case err != nil: // what it names is in sight of the child alone
			return "", ""
		}
	}
	return "", ""
}

// fsWords is the last of the messages that wait in a file system's context,
// without its level; if there is none, it is err.
func fsWords(fs int, err error) string {
	words := err.Error()
	for {
		var b [512]byte
		n, rerr := unix.Read(fs, b[:])
		if rerr != nil || n < 2 {
			return words
		}
		words = strings.TrimSpace(string(b[2:n]))
	}
}
