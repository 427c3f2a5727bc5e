// Package fault gives errors a class and a place.
//
// A room returns errors that say, from left to right, which operation failed
// on which object and why:
//
//	snapshot.remove c1: unlinkat work: device or resource busy
//
// Op adds operation and object, New makes a sentinel of a class. Doors (the
// command line, the HTTP API) look only at the class, through errors.Is:
//
//	errors.Is(err, fault.NotFound)
//
// Nobody compares texts. The zero class is Internal.
package fault

import (
	"errors"
	"fmt"
)

// Kind is a class of errors. It is an error itself so that errors.Is can ask
// for it.
type Kind string

// The classes. Each door maps them to its own codes in one place.
const (
	Internal    Kind = "internal error"
	NotFound    Kind = "not found"      // the named object does not exist
	Conflict    Kind = "conflict"       // the object's state forbids it, or the name is taken
	Invalid     Kind = "invalid"        // the request, file or flag cannot be right
	Denied      Kind = "denied"         // not permitted for this caller
	Unsupported Kind = "not supported"  // the kernel or this build lacks it
	Unavailable Kind = "not available"  // a peer (registry, monitor) does not answer
	Damaged     Kind = "damaged"        // stored or transferred bytes are not what they should be
	TooLarge    Kind = "limit exceeded" // a size, count or depth limit of ours
	NotRunning  Kind = "not running"    // a process was needed and there is none
	Exists      Kind = "already exists" // create of something that is there
)

func (k Kind) Error() string { return string(k) }

// Error is a classed error; its text is that of its cause.
type Error struct {
	Kind  Kind
	Cause error
}

func (e *Error) Error() string { return e.Cause.Error() }

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is this error's class.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// New returns an error of class k with a formatted text. A %w verb keeps the
// wrapped error in the chain.
func New(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Cause: fmt.Errorf(format, args...)}
}

// As puts err into class k and leaves its text alone. nil stays nil.
func As(k Kind, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: k, Cause: err}
}

// Op says what was being done to what: "op object: err". The class and the
// cause of err stay visible. nil stays nil.
func Op(op, object string, err error) error {
	if err == nil {
		return nil
	}
	if object == "" {
		return fmt.Errorf("%s: %w", op, err)
	}
	return fmt.Errorf("%s %s: %w", op, object, err)
}

// KindOf returns the class of err, Internal when it has none.
func KindOf(err error) Kind {
	for _, k := range []Kind{NotFound, Conflict, Invalid, Denied, Unsupported, Unavailable, Damaged, TooLarge, NotRunning, Exists} {
		if errors.Is(err, k) {
			return k
		}
	}
	return Internal
}
