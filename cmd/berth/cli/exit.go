package cli

import (
	"errors"
	"strings"
	"syscall"

	"github.com/berth-engine/berth/internal/fault"
)

// Exit codes with a meaning of docker's; everything else is the payload's own.
const (
	codeEngine  = 125 // berth itself could not do it
	codeNotExec = 126 // the program cannot be executed
	codeMissing = 127 // there is no such program
)

// exit is an error with an exit code. Without an error it says nothing.
type exit struct {
	code int
	err  error
}

func (e exit) Error() string {
	if e.err == nil {
		return "exit"
	}
	return e.err.Error()
}

func (e exit) Unwrap() error { return e.err }

// coder is an error that knows docker's exit code: the runtime's, of a program
// that is missing or cannot be executed.
type coder interface{ ExitCode() int }

// startCode is the exit code of a process that could not be started: 127 when
// its program is missing, 126 when it cannot be executed, else otherwise.
func startCode(err error, otherwise int) int {
	var c coder
	if errors.As(err, &c) && c.ExitCode() > 0 {
		return c.ExitCode()
	}
	text := err.Error() // the runtime's words for the payload's own program
	if !strings.Contains(text, `exec: "`) && !strings.Contains(text, "exec /") {
		return otherwise
	}
	return causeCode(err, otherwise)
}

// causeCode is how docker tells what cannot be found from what cannot be used.
func causeCode(err error, otherwise int) int {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return codeMissing
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EISDIR),
		errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.ELIBBAD), errors.Is(err, syscall.ETXTBSY), errors.Is(err, syscall.E2BIG):
		return codeNotExec
	}
	return otherwise
}

// notFound says "No such OBJECT: NAME" of a missing thing and leaves other
// errors alone.
func notFound(err error, object, name string) error {
	if errors.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "No such %s: %s", object, name)
	}
	return err
}
