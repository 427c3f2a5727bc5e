package wire

import (
	"encoding/json"
	"errors"
	"syscall"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/internal/fault"
)

// The verbs of requests.
const (
	Start          = "start"           // create and start the container; attaches first when Attach is set
	Attach         = "attach"          // from now on send output, take input
	Wait           = "wait"            // answer when the container has ended for good
	Signal         = "signal"          // to the container's first process, or to all
	Resize         = "resize"          // of the container's terminal
	Exec           = "exec"            // a further process; replies twice: started, ended
	StopRestarting = "stop-restarting" // the user stopped it: no restart from here on
	Pause          = "pause"
	Resume         = "resume"
	Status         = "status"
	Adopted        = "adopted" // answer when an adopter has taken over
)

// The kinds of replies, and the notes that answer no request (Seq 0).
const (
	OK     = "ok"
	Failed = "error"
	Over   = "over"   // to who reaps: the payload has ended; Ended follows when its groups and last output are done
	Ended  = "ended"  // Exit is set
	Credit = "credit" // Bytes of stdin were taken by the payload
)

// Message is a request or a reply.
type Message struct {
	Op  string
	Seq uint64 `json:",omitempty"`

	Attach  *Streams        `json:",omitempty"`
	Size    *Size           `json:",omitempty"` // resize, start
	Signal  int             `json:",omitempty"`
	All     bool            `json:",omitempty"` // signal: every process of the container
	Reap    bool            `json:",omitempty"` // wait: this client removes the container when it is told first
	Keep    bool            `json:",omitempty"` // stop-restarting: who asks starts it again, and until then nobody removes it
	Process json.RawMessage `json:",omitempty"` // exec: the OCI spec's process; decoded only where it is used
	Stdio   [3]bool         `json:",omitzero"`  // exec: which of stdin, stdout, stderr come as descriptors, in order

	More   bool                  `json:",omitempty"` // a further reply to this request follows
	Pid    int                   `json:",omitempty"`
	Bytes  int                   `json:",omitempty"`
	First  bool                  `json:",omitempty"` // ended: this client is the one that removes the container
	Kept   bool                  `json:",omitempty"` // ended: nobody does, it is started again
	Exit   *container.ExitStatus `json:",omitempty"`
	Status *container.Status     `json:",omitempty"`
	Err    *Error                `json:",omitempty"`
}

// Streams says what an attached client wants.
type Streams struct{ Stdin, Stdout, Stderr bool }

// Size of a terminal, in characters.
type Size struct{ Rows, Cols uint16 }

// Error carries an error over the socket. Class, errno and exit code survive,
// the chain does not.
type Error struct {
	Text  string
	Kind  fault.Kind    `json:",omitempty"`
	Errno syscall.Errno `json:",omitempty"`
	Code  int           `json:",omitempty"` // the exit code that the command line should use: 125, 126, 127
}

// NewError packs err; nil stays nil.
func NewError(err error) *Error {
	if err == nil {
		return nil
	}
	e := &Error{Text: err.Error(), Kind: fault.KindOf(err)}
	errors.As(err, &e.Errno)
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		e.Code = coded.ExitCode()
	}
	return e
}

func (e *Error) Error() string { return e.Text }

// Is reports whether target is the class or the errno of the far error.
func (e *Error) Is(target error) bool {
	switch t := target.(type) {
	case fault.Kind:
		return t == e.Kind
	case syscall.Errno:
		return t == e.Errno
	}
	return e.Errno != 0 && e.Errno.Is(target)
}

// ExitCode is the exit code that the far side proposes, 0 when it has none.
func (e *Error) ExitCode() int { return e.Code }
