package server

import (
	"sync"
	"time"

	"github.com/berth-engine/berth/container/monitor/internal/wire"
)

// How far behind an attached client may be, and how long the payload waits
// for one that takes nothing at all before the client is dropped. One who is
// slow but moves slows the payload down, as a pipe does.
const (
	maxBehind       = 256 << 10
	starterPatience = time.Minute     // of the client that started the container
	otherPatience   = 2 * time.Second // of anybody else
)

// client is one connection.
type client struct {
	link     *wire.Link
	patience time.Duration

	gone     chan struct{} // closed when the connection has ended
	told     chan struct{} // closed when it was told of the container's end
	toldOnce sync.Once

	mu      sync.Mutex
	moved   chan struct{} // closed, and made anew, when a queued frame was taken
	want    wire.Streams
	queue   []parcel // frames that the socket did not take at once
	behind  int      // bytes in queue
	sending bool     // a goroutine empties queue
	dropped bool

	input lane // stdin on its way to the payload
}

// parcel is a frame, with descriptors to send and then close.
type parcel struct {
	frame []byte
	fds   []int
}

func newClient(link *wire.Link) *client {
	return &client{link: link, patience: otherPatience, moved: make(chan struct{}), gone: make(chan struct{}), told: make(chan struct{})}
}

// left reports whether the connection has ended.
func (c *client) left() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// attach sets which streams the client gets from now on.
func (c *client) attach(want wire.Streams) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want = want
}

func (c *client) wants(t wire.Type) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.dropped && (t == wire.Stdout && c.want.Stdout || t == wire.Stderr && c.want.Stderr)
}

// put sends frame, after all that was put before. It never blocks: what the
// socket does not take is copied and queued. frame stays the caller's, fds
// become the client's.
func (c *client) put(frame []byte, fds ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped {
		closeFDs(fds)
		return
	}
	if len(c.queue) == 0 && !c.sending && len(fds) == 0 {
		n, err := c.link.TrySend(frame)
		if err != nil {
			c.dropLocked()
			return
		}
		frame = frame[n:]
		if len(frame) == 0 {
			return
		}
	}
	c.queue = append(c.queue, parcel{append([]byte(nil), frame...), fds})
	c.behind += len(frame)
	if !c.sending {
		c.sending = true
		go c.empty()
	}
}

// say sends a control message.
func (c *client) say(m *wire.Message, fds ...int) {
	frame, err := wire.Pack(m)
	if err != nil {
		frame, err = wire.Pack(&wire.Message{Op: wire.Failed, Seq: m.Seq, Err: wire.NewError(err)})
	}
	if err != nil {
		closeFDs(fds)
		c.drop()
		return
	}
	c.put(frame, fds...)
}

// empty sends the queue until there is nothing left.
func (c *client) empty() {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 || c.dropped {
			c.sending, c.queue = false, nil
			c.noteLocked()
			c.mu.Unlock()
			return
		}
		next := c.queue[0]
		c.queue = c.queue[1:]
		c.mu.Unlock()

		err := c.link.Send(next.frame, 0, next.fds...)
		closeFDs(next.fds)
		c.mu.Lock()
		if !c.dropped {
			c.behind -= len(next.frame)
		}
		if err != nil {
			c.dropLocked()
		}
		c.noteLocked()
		c.mu.Unlock()
	}
}

// noteLocked wakes all who wait for the queue to move.
func (c *client) noteLocked() {
	close(c.moved)
	c.moved = make(chan struct{})
}

// relieve waits until the client is not too far behind. One that takes
// nothing for its patience is dropped. hurry ends the waiting: the payload is
// gone, and what may still come is no more than its pipes held.
func (c *client) relieve(hurry <-chan struct{}) {
	for {
		c.mu.Lock()
		fine, moved := c.dropped || c.behind <= maxBehind, c.moved
		c.mu.Unlock()
		if fine {
			return
		}
		t := time.NewTimer(c.patience)
		select {
		case <-moved:
		case <-hurry:
			t.Stop()
			return
		case <-t.C:
			c.drop()
		}
		t.Stop()
	}
}

// flushed waits until all that was put was taken by the socket. It reports
// false when that takes longer than patience, or the client is gone.
func (c *client) flushed(patience time.Duration) bool {
	t := time.NewTimer(patience)
	defer t.Stop()
	for {
		c.mu.Lock()
		done, dropped, moved := !c.sending && len(c.queue) == 0, c.dropped, c.moved
		c.mu.Unlock()
		if done || dropped {
			return done && !dropped
		}
		select {
		case <-moved:
		case <-c.gone:
			return false
		case <-t.C:
			return false
		}
	}
}

func (c *client) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked()
}

func (c *client) dropLocked() {
	if c.dropped {
		return
	}
	c.dropped = true
	for _, p := range c.queue {
		closeFDs(p.fds)
	}
	c.queue, c.behind = nil, 0
	c.link.Close() // ends the reader and a Send that blocks
	c.noteLocked()
}
