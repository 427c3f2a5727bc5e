package monitor

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/fault"
)

// AttachOptions are the streams of a client. A nil one is not attached.
type AttachOptions struct {
	// Stdin is copied to the container until its end, which closes the
	// container's stdin where the configuration says StdinOnce. Any other
	// error of its Read ends the connection and is what Wait returns: a
	// reader that sees the detach keys returns an error of its own.
	// The goroutine that reads it ends with the connection, but not before a
	// Read that is under way has returned.
	Stdin io.Reader
	// Stdout and Stderr are written by one goroutine. While Write blocks, no
	// replies are seen, and after a bound the monitor drops the connection.
	// With a terminal everything comes on Stdout.
	Stdout, Stderr io.Writer
	// Rows and Cols are the first size of the terminal; 0 leaves it.
	Rows, Cols uint16
}

func (o *AttachOptions) streams() *wire.Streams {
	if o.Stdin == nil && o.Stdout == nil && o.Stderr == nil {
		return nil
	}
	return &wire.Streams{Stdin: o.Stdin != nil, Stdout: o.Stdout != nil, Stderr: o.Stderr != nil}
}

// Start creates and starts the container, once per monitor. The streams are
// attached before that: no output is missed. The error of a container that
// does not start has a class, an errno where there is one, and the runtime's
// own proposal for an exit code (interface{ ExitCode() int }).
func (c *Conn) Start(ctx context.Context, o AttachOptions) error {
	return c.attach(ctx, wire.Start, o)
}

// Attach joins the streams of a running container from now on.
func (c *Conn) Attach(ctx context.Context, o AttachOptions) error {
	return c.attach(ctx, wire.Attach, o)
}

func (c *Conn) attach(ctx context.Context, op string, o AttachOptions) error {
	m := &wire.Message{Op: op, Attach: o.streams()}
	if o.Rows != 0 && o.Cols != 0 {
		m.Size = &wire.Size{Rows: o.Rows, Cols: o.Cols}
	}
	c.mu.Lock()
	c.out = [2]io.Writer{o.Stdout, o.Stderr}
	c.mu.Unlock()
	if err := c.do(ctx, m); err != nil {
		return err
	}
	if o.Stdin != nil {
		go c.feed(o.Stdin)
	}
	return nil
}

// feed sends r as stdin frames within the window that the monitor grants.
func (c *Conn) feed(r io.Reader) {
	buf := make([]byte, wire.HeaderSize+wire.Window/2)
	room := wire.Window
	for {
		n, err := r.Read(buf[wire.HeaderSize:])
		if n > 0 {
			if room = c.room(room, n); room < 0 {
				return
			}
			room -= n
			wire.PutHeader(buf, wire.Stdin, n)
			if c.link.Send(buf[:wire.HeaderSize+n], 0) != nil {
				return // the reader sees the end of the connection too, and says why
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			wire.PutHeader(buf, wire.Stdin, 0)
			_ = c.link.Send(buf[:wire.HeaderSize], time.Minute)
			return
		case err != nil:
			c.fail(fault.Op("read input", "", err))
			return
		}
	}
}

// room waits until n bytes may be sent and returns how many may; -1 when the
// connection has ended.
func (c *Conn) room(have, n int) int {
	for {
		c.mu.Lock()
		have, c.credit = have+c.credit, 0
		c.mu.Unlock()
		if have >= n {
			return have
		}
		select {
		case <-c.more:
		case <-c.over:
			return -1
		}
	}
}
