package wire

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/berth-engine/berth/internal/fault"
)

// MaxFiles bounds the descriptors that come with one frame.
const MaxFiles = 3

// Link is one end of a connection: a non-blocking unix stream socket that the
// runtime's poller watches, so that an idle connection holds no thread.
// Reading is for one goroutine, sending for many.
type Link struct {
	f   *os.File
	raw syscall.RawConn

	oob  [64]byte // room for MaxFiles descriptors
	fds  []int    // received and not yet taken
	send sync.Mutex
}

// NewLink takes over the socket fd.
func NewLink(fd int) (*Link, error) {
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "monitor socket")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Link{f: f, raw: raw}, nil
}

// Read implements io.Reader and keeps descriptors that come along for Files.
func (l *Link) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	var oobn, flags int
	rerr := l.raw.Read(func(fd uintptr) bool {
		for {
			n, oobn, flags, _, err = syscall.Recvmsg(int(fd), p, l.oob[:], syscall.MSG_CMSG_CLOEXEC)
			if err != syscall.EINTR {
				return err != syscall.EAGAIN
			}
		}
	})
	switch {
	case rerr != nil:
		return 0, rerr
	case errors.Is(err, syscall.ECONNRESET):
		return 0, io.EOF // the peer died with our bytes unread
	case err != nil:
		return 0, err
	}
	if oobn > 0 {
		if err := l.keep(l.oob[:oobn]); err != nil {
			return 0, err
		}
	}
	if flags&syscall.MSG_CTRUNC != 0 || len(l.fds) > MaxFiles {
		l.DropFiles()
		return 0, fault.New(fault.TooLarge, "more than %d descriptors in a frame", MaxFiles)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (l *Link) keep(oob []byte) error {
	msgs, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return fault.As(fault.Damaged, err)
	}
	for i := range msgs {
		if fds, err := syscall.ParseUnixRights(&msgs[i]); err == nil {
			l.fds = append(l.fds, fds...)
		}
	}
	return nil
}

// Files hands over the descriptors received so far; the caller closes them.
func (l *Link) Files() []int {
	fds := l.fds
	l.fds = nil
	return fds
}

// DropFiles closes descriptors that nobody took.
func (l *Link) DropFiles() {
	for _, fd := range l.Files() {
		syscall.Close(fd)
	}
}

// Send writes whole frames, with descriptors on their first byte. patience
// bounds the time without any progress; 0 waits for ever. After an error the
// connection is of no use any more.
func (l *Link) Send(frame []byte, patience time.Duration, fds ...int) error {
	l.send.Lock()
	defer l.send.Unlock()
	var oob []byte
	if len(fds) > 0 {
		oob = syscall.UnixRights(fds...)
	}
	for len(frame) > 0 {
		var deadline time.Time
		if patience > 0 {
			deadline = time.Now().Add(patience)
		}
		if err := l.f.SetWriteDeadline(deadline); err != nil {
			return err
		}
		n, err := l.push(frame, oob, true)
		if err != nil {
			return err
		}
		frame, oob = frame[n:], nil
	}
	return nil
}

// TrySend writes what the socket takes at once and returns how much that was.
// It takes nothing while another Send is under way.
func (l *Link) TrySend(frame []byte) (int, error) {
	if !l.send.TryLock() {
		return 0, nil
	}
	defer l.send.Unlock()
	n, err := l.push(frame, nil, false)
	if err == syscall.EAGAIN {
		return 0, nil
	}
	return n, err
}

func (l *Link) push(p, oob []byte, wait bool) (n int, err error) {
	werr := l.raw.Write(func(fd uintptr) bool {
		for {
			n, err = syscall.SendmsgN(int(fd), p, oob, nil, syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT)
			if err != syscall.EINTR {
				return !wait || err != syscall.EAGAIN
			}
		}
	})
	if werr != nil {
		return 0, werr
	}
	return n, err
}

// SetReadDeadline bounds reads that are under way and to come.
func (l *Link) SetReadDeadline(t time.Time) error { return l.f.SetReadDeadline(t) }

// Peer returns the uid of the process that connected the far end.
func (l *Link) Peer() (uid uint32, err error) {
	cerr := l.raw.Control(func(fd uintptr) {
		var cred *syscall.Ucred
		if cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			uid = cred.Uid
		}
	})
	return uid, errors.Join(cerr, err)
}

// Close ends the connection. Blocked reads and sends return.
func (l *Link) Close() error {
	return l.f.Close()
}
