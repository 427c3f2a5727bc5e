// Package wire is what travels between a monitor and its clients.
//
//	 0      1          4               8
//	┌──────┬──────────┬───────────────┬──────────────┐
//	│ type │ 0  0  0  │ length, BE u32│ payload …    │   on a unix stream socket
//	└──────┴──────────┴───────────────┴──────────────┘
//	type 0 stdin   client → monitor; length 0 is end of input
//	     1 stdout  monitor → client
//	     2 stderr  monitor → client
//	     3 control one JSON Message, either way; may carry descriptors (SCM_RIGHTS)
//
// Data frames hold at most 64 KiB, control frames at most 1 MiB. A request
// carries a Seq that its replies repeat, so many requests share a connection.
// Unknown fields are ignored and unknown verbs refused by name: an older
// monitor stays usable by a newer engine.
package wire

import (
	"encoding/binary"
	"io"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
)

// Type is the kind of a frame.
type Type uint8

// The frame types.
const (
	Stdin Type = iota
	Stdout
	Stderr
	Control
)

// Bounds of a frame, in bytes.
const (
	HeaderSize = 8
	MaxData    = 64 << 10
	MaxControl = 1 << 20
)

// Window is how many bytes of stdin a client may have under way. The monitor
// hands the bytes back as credit once the payload has taken them, so input
// that nobody reads never blocks a signal behind it.
const Window = 64 << 10

// PutHeader writes the header of a frame with n bytes of payload into h.
func PutHeader(h []byte, t Type, n int) {
	h[0], h[1], h[2], h[3] = byte(t), 0, 0, 0
	binary.BigEndian.PutUint32(h[4:8], uint32(n))
}

// Header decodes and checks a header.
func Header(h [HeaderSize]byte) (Type, int, error) {
	t, n := Type(h[0]), binary.BigEndian.Uint32(h[4:8])
	limit := uint32(MaxData)
	switch {
	case t > Control || h[1]|h[2]|h[3] != 0:
		return 0, 0, fault.New(fault.Damaged, "frame header % x is of no known type", h[:4])
	case t == Control:
		limit = MaxControl
	}
	if n > limit {
		return 0, 0, fault.New(fault.TooLarge, "frame of %d bytes, at most %d are allowed", n, limit)
	}
	return t, int(n), nil
}

// Read reads one frame. An end of file before the first byte is io.EOF, later
// it is io.ErrUnexpectedEOF.
func Read(r io.Reader) (Type, []byte, error) {
	var h [HeaderSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	t, n, err := Header(h)
	if err != nil {
		return 0, nil, err
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return 0, nil, unexpected(err)
	}
	return t, data, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Pack returns m as one control frame, header included.
func Pack(m *Message) ([]byte, error) {
	body, err := jsontext.Marshal(m)
	if err != nil {
		return nil, fault.Op("encode", m.Op, err)
	}
	if len(body) > MaxControl {
		return nil, fault.New(fault.TooLarge, "%s request of %d bytes, at most %d are allowed", m.Op, len(body), MaxControl)
	}
	frame := make([]byte, HeaderSize+len(body))
	PutHeader(frame, Control, len(body))
	copy(frame[HeaderSize:], body)
	return frame, nil
}

// Unpack decodes the payload of a control frame.
func Unpack(data []byte) (*Message, error) {
	m := new(Message)
	if err := jsontext.Unmarshal(data, m); err != nil {
		return nil, fault.New(fault.Damaged, "control frame: %w", err)
	}
	return m, nil
}
