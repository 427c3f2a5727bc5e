// Package logfile keeps and reads the output of a container.
//
//	container.log      {"log":"hello\n","stream":"stdout","time":"2026-08-01T12:00:00.5Z"}
//	container.log.1    the one before, full
//	container.log.2    …                       the oldest is deleted
//
// The lines are those of docker's json-file driver, so its tools can read
// them: a piece of at most 16 KiB each, and a piece without "\n" at its end is
// continued by the next one of its stream. Bytes that are not UTF-8 cannot be
// written in JSON; such a piece has a field "raw", base64 of the true bytes,
// which Read uses and others may ignore.
//
// A Writer (one per container, in the monitor) never keeps more than
// MaxSize × MaxFiles bytes in total, cuts off the half line that a crash left,
// and survives a full disk: what cannot be written is counted and dropped, the
// payload goes on. Read needs no lock and no word with the writer: it sees
// rotation by inode, and delivers each kept line once and in order.
package logfile

// Stream is where a line came from.
type Stream uint8

// The streams.
const (
	Stdout Stream = iota
	Stderr
)

func (s Stream) String() string {
	if s == Stderr {
		return "stderr"
	}
	return "stdout"
}

// Piece is the most text that one record of the file holds, in bytes.
const Piece = 16 << 10

// Defaults of Options: 50 MiB per container in total.
const (
	DefaultMaxSize  = 10 << 20
	DefaultMaxFiles = 5
)
