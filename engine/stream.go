package engine

import (
	"io"
	"syscall"
)

// Size of a terminal in characters.
type Size struct{ Rows, Cols uint16 }

// Streams is the client's end of a container or of a process in one. Every
// field may be zero.
type Streams struct {
	In       io.Reader // its end closes the container's stdin, with OpenStdin
	Out, Err io.Writer
	Keys     []byte                // typed on a terminal: leave, the container goes on
	First    Size                  // of the client's terminal, now
	Sizes    <-chan Size           // and as it changes
	Signals  <-chan syscall.Signal // to hand on
}
