package cli

import (
	"errors"

	"github.com/berth-engine/berth/internal/fault"
)

// Exit codes with a meaning of docker's; everything else is the payload's own.
const (
	codeEngine  = 125 // berth itself could not do it
	codeNotExec = 126 // the program cannot be executed; 127 is a missing one
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
