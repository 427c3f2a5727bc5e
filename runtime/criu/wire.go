package criu

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// maxMessage bounds a packet. A request with a thousand mounts fits in.
const maxMessage = 128 << 10

// Wire is one end of a pair of sockets that keep packets apart. Each packet is
// a JSON value, and may bring a descriptor.
type Wire struct{ file *os.File }

// NewWire takes over a descriptor.
func NewWire(f *os.File) *Wire { return &Wire{f} }

// pair makes two ends. Both close on exec.
func pair() (*os.File, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs"), nil
}

// Close closes this end, which the other reads as io.EOF.
func (w *Wire) Close() error { return w.file.Close() }

// hangUp wakes whoever waits at either end.
func (w *Wire) hangUp() { unix.Shutdown(int(w.file.Fd()), unix.SHUT_RDWR) }

// limit bounds each Receive from now on, which then fails with EAGAIN.
func (w *Wire) limit(d time.Duration) {
	tv := unix.NsecToTimeval(d.Nanoseconds())
	_ = unix.SetsockoptTimeval(int(w.file.Fd()), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
}

// Send sends a value, with a file or nil.
func (w *Wire) Send(v any, with *os.File) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(data) > maxMessage {
		return fault.New(fault.TooLarge, "message to CRIU: %d bytes are more than %d", len(data), maxMessage)
	}
	return w.SendBytes(data, with)
}

// SendBytes sends a packet as it is.
func (w *Wire) SendBytes(data []byte, with *os.File) error {
	var rights []byte
	if with != nil {
		rights = unix.UnixRights(int(with.Fd()))
	}
	for {
		err := unix.Sendmsg(int(w.file.Fd()), data, rights, nil, unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("sendmsg", err)
		}
	}
}

// Receive waits for a value. io.EOF means that the other end is gone.
func (w *Wire) Receive(v any) (with *os.File, err error) {
	data, with, err := w.ReceiveBytes()
	if err != nil {
		return nil, err
	}
	if err := decode(data, v); err != nil {
		return nil, errors.Join(err, closeFile(with))
	}
	return with, nil
}

// ReceiveBytes waits for a packet. Of several descriptors the first counts.
func (w *Wire) ReceiveBytes() (data []byte, with *os.File, err error) {
	data, rights := make([]byte, maxMessage+1), make([]byte, unix.CmsgSpace(4*4))
	n, oobn, flags, err := recvmsg(int(w.file.Fd()), data, rights)
	with = firstFile(rights[:oobn])
	switch {
	case err != nil && !errors.Is(err, unix.ECONNRESET):
		return nil, nil, os.NewSyscallError("recvmsg", err)
	case err != nil || n == 0:
		return nil, nil, errors.Join(io.EOF, closeFile(with))
	case n > maxMessage || flags&unix.MSG_TRUNC != 0:
		return nil, nil, errors.Join(fault.New(fault.TooLarge, "a message from CRIU has more than %d bytes", maxMessage), closeFile(with))
	}
	return data[:n], with, nil
}

func recvmsg(fd int, data, rights []byte) (n, oobn, flags int, err error) {
	for {
		n, oobn, flags, _, err = unix.Recvmsg(fd, data, rights, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), max(oobn, 0), flags, err
		}
	}
}

// firstFile takes the first descriptor of a control message and closes others.
func firstFile(rights []byte) (first *os.File) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if first != nil {
				unix.Close(fd)
				continue
			}
			first = os.NewFile(uintptr(fd), "/dev/ptmx") // the only one that CRIU sends
		}
	}
	return first
}

func closeFile(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// decode reads one JSON value with known fields only.
func decode(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil || len(bytes.TrimSpace(data[dec.InputOffset():])) > 0 {
		return fault.New(fault.Invalid, "a message that is none: %.100q", data)
	}
	return nil
}
