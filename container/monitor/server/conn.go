package server

import (
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/fault"
)

// frameTime bounds how long a client may take to send the rest of a frame.
const frameTime = 10 * time.Second

// linkOf takes over the descriptor that the engine left us.
func linkOf(first *os.File) (*wire.Link, error) {
	defer first.Close()
	fd, err := unix.FcntlInt(first.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	return wire.NewLink(fd)
}

// serveConn serves a connection to the socket if its owner may use it.
func (s *server) serveConn(fd int) {
	link, err := wire.NewLink(fd)
	if err != nil {
		return
	}
	uid, err := link.Peer()
	s.mu.Lock()
	full := len(s.clients) >= maxClients
	s.mu.Unlock()
	if err != nil || full || uid != 0 && uid != uint32(os.Geteuid()) {
		link.Close()
		return
	}
	s.admit(link)
}

func (s *server) admit(link *wire.Link) *client {
	s.busy.RLock() // until it leaves
	c := newClient(link)
	c.input.busy = &s.busy
	s.mu.Lock()
	s.clients[c] = struct{}{}
	s.mu.Unlock()
	go s.listenTo(c)
	return c
}

// listenTo reads a client's frames until it leaves or breaks the rules.
func (s *server) listenTo(c *client) {
	defer s.leave(c)
	for {
		t, data, err := readFrame(c.link)
		if err != nil {
			return
		}
		switch t {
		case wire.Stdin:
			err = s.input(c, data)
		case wire.Control:
			err = s.control(c, data)
		default:
			err = fault.New(fault.Invalid, "frame of type %d from a client", t)
		}
		if err != nil {
			return
		}
	}
}

// readFrame waits for ever for a frame to begin, and not long for its rest.
func readFrame(l *wire.Link) (wire.Type, []byte, error) {
	t, data, err := wire.Read(&paced{link: l})
	if err != nil {
		return 0, nil, err
	}
	return t, data, l.SetReadDeadline(time.Time{})
}

// paced sets the deadline once the first byte is there.
type paced struct {
	link *wire.Link
	on   bool
}

func (p *paced) Read(b []byte) (int, error) {
	n, err := p.link.Read(b)
	if err == nil && !p.on {
		p.on = true
		err = p.link.SetReadDeadline(time.Now().Add(frameTime))
	}
	return n, err
}

func (s *server) leave(c *client) {
	c.link.DropFiles()
	c.drop()
	s.mu.Lock()
	delete(s.clients, c)
	s.waiters = slices.DeleteFunc(s.waiters, func(w waiter) bool { return w.from == c })
	s.mu.Unlock()
	if s.cfg.StdinOnce && c.feeds() {
		s.endInput(c)
	}
	close(c.gone)
	s.busy.RUnlock()
	s.moved()
}

// feeds reports whether the client attached its stdin.
func (c *client) feeds() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.want.Stdin
}

// input takes a stdin frame; an empty one is the end.
func (s *server) input(c *client, data []byte) error {
	if !c.feeds() {
		return nil
	}
	if len(data) == 0 {
		if s.cfg.StdinOnce {
			s.endInput(c)
		}
		return nil
	}
	return c.input.put(data, func(data []byte) { s.carry(c, data) })
}

// endInput closes the payload's stdin behind what the client has sent.
func (s *server) endInput(c *client) {
	_ = c.input.put(nil, func(data []byte) { s.carry(c, data) }) // nothing is never too much
}

// carry gives data, or the end of input, to the payload and credit back.
func (s *server) carry(c *client, data []byte) {
	if l := s.alive(); l != nil {
		l.input(data)
	}
	if len(data) > 0 {
		c.say(&wire.Message{Op: wire.Credit, Bytes: len(data)})
	}
}

func (s *server) alive() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life
}
