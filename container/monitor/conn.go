package monitor

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/fault"
)

// ErrGone is what calls return when the monitor closed the connection before
// it answered: it has ended, was killed, or dropped a client that did not take
// its output. status.json, Ensure or Await tell which.
var ErrGone = fault.New(fault.Unavailable, "the container's monitor closed the connection")

// sendPatience bounds a request that the monitor does not take.
const sendPatience = 10 * time.Second

// Conn is a connection to a monitor.
type Conn struct {
	link *wire.Link

	mu     sync.Mutex
	seq    uint64
	calls  map[uint64]chan reply
	out    [2]io.Writer // stdout, stderr of an attached client
	err    error        // why the connection ended
	over   chan struct{}
	credit int           // bytes of stdin that the payload took since the last look
	more   chan struct{} // says that credit has grown
}

type reply struct {
	*wire.Message
	fds []int
}

func newConn(fd int) (*Conn, error) {
	link, err := wire.NewLink(fd)
	if err != nil {
		return nil, err
	}
	c := &Conn{link: link, calls: map[uint64]chan reply{}, over: make(chan struct{}), more: make(chan struct{}, 1)}
	go c.read()
	return c, nil
}

// Dial connects to the monitor that serves runDir. When there is none, or it
// was killed, the error is fault.Unavailable.
func Dial(ctx context.Context, runDir string) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fault.Op("monitor.dial", runDir, err)
	}
	err = wire.Address(runDir, func(a *syscall.SockaddrUnix) error {
		for {
			err := syscall.Connect(fd, a)
			if !errors.Is(err, syscall.EAGAIN) { // EAGAIN: the backlog is full
				return err
			}
			if err := pause(ctx); err != nil {
				return err
			}
		}
	})
	if err != nil {
		syscall.Close(fd)
		return nil, fault.Op("monitor.dial", runDir, fault.As(fault.Unavailable, err))
	}
	return newConn(fd)
}

// pause waits a moment between two tries.
func pause(ctx context.Context) error {
	t := time.NewTimer(5 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Close ends the connection. An attached terminal is detached by it: the
// container goes on.
func (c *Conn) Close() error {
	c.fail(ErrGone)
	return nil
}

// fail ends the connection with the reason err.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	close(c.over)
	c.mu.Unlock()
	c.link.Close()
}

// read hands frames to whom they belong until the connection ends.
func (c *Conn) read() {
	defer c.link.DropFiles()
	for {
		t, data, err := wire.Read(c.link)
		if err == nil {
			err = c.dispatch(t, data)
		}
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) {
				err = ErrGone
			}
			c.fail(err)
			return
		}
	}
}

func (c *Conn) dispatch(t wire.Type, data []byte) error {
	switch t {
	case wire.Stdout, wire.Stderr:
		c.mu.Lock()
		w := c.out[t-wire.Stdout]
		c.mu.Unlock()
		if w != nil {
			if _, err := w.Write(data); err != nil {
				return fault.Op("write output", "", err)
			}
		}
		return nil
	case wire.Control:
		m, err := wire.Unpack(data)
		if err != nil {
			return err
		}
		c.control(m)
		return nil
	}
	return fault.New(fault.Damaged, "frame of type %d from the monitor", t)
}

func (c *Conn) control(m *wire.Message) {
	if m.Op == wire.Credit {
		c.mu.Lock()
		c.credit += m.Bytes
		c.mu.Unlock()
		select {
		case c.more <- struct{}{}:
		default:
		}
		return
	}
	c.mu.Lock()
	ch := c.calls[m.Seq]
	if !m.More {
		delete(c.calls, m.Seq)
	}
	c.mu.Unlock()
	fds := c.link.Files()
	if ch == nil { // nobody waits for it any more
		closeAll(fds)
		return
	}
	ch <- reply{m, fds} // has room for every reply of a call
}

// call sends a request and waits for its (first) reply.
func (c *Conn) call(ctx context.Context, m *wire.Message, fds ...int) (reply, chan reply, error) {
	ch := make(chan reply, 2)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return reply{}, nil, fault.Op(m.Op, "", c.err)
	}
	c.seq++
	m.Seq = c.seq
	c.calls[m.Seq] = ch
	c.mu.Unlock()

	frame, err := wire.Pack(m)
	if err == nil {
		err = c.link.Send(frame, sendPatience, fds...)
		if errors.Is(err, syscall.EPIPE) {
			<-c.over // the reader says why
		}
		if why := c.reason(); err != nil && why != nil { // it may have closed the link under us
			err = why
		}
	}
	if err != nil {
		c.forget(m.Seq)
		return reply{}, nil, fault.Op(m.Op, "", err)
	}
	r, err := c.await(ctx, m.Seq, ch)
	return r, ch, fault.Op(m.Op, "", err)
}

func (c *Conn) await(ctx context.Context, seq uint64, ch chan reply) (reply, error) {
	select {
	case r := <-ch:
		return checked(r)
	default:
	}
	select {
	case r := <-ch:
		return checked(r)
	case <-ctx.Done():
		c.forget(seq)
		return reply{}, ctx.Err()
	case <-c.over:
		select { // the reply may have come just before the end
		case r := <-ch:
			return checked(r)
		default:
			return reply{}, c.reason()
		}
	}
}

func checked(r reply) (reply, error) {
	if r.Err != nil {
		closeAll(r.fds)
		return reply{}, r.Err
	}
	return r, nil
}

func (c *Conn) forget(seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, seq)
}

func (c *Conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// do is a call whose reply is only yes or no.
func (c *Conn) do(ctx context.Context, m *wire.Message) error {
	r, _, err := c.call(ctx, m)
	closeAll(r.fds)
	return err
}

// Signal sends sig to the container's first process.
func (c *Conn) Signal(ctx context.Context, sig syscall.Signal) error {
	return c.do(ctx, &wire.Message{Op: wire.Signal, Signal: int(sig)})
}

// SignalAll sends sig to every process of the container.
func (c *Conn) SignalAll(ctx context.Context, sig syscall.Signal) error {
	return c.do(ctx, &wire.Message{Op: wire.Signal, Signal: int(sig), All: true})
}

// Resize sets the size of the container's terminal, in characters.
func (c *Conn) Resize(ctx context.Context, rows, cols uint16) error {
	return c.do(ctx, &wire.Message{Op: wire.Resize, Size: &wire.Size{Rows: rows, Cols: cols}})
}

// StopRestarting says that a user stops the container: whatever its restart
// policy, it stays down after its next end, also after one that is being
// waited out right now. Call it before the signal.
func (c *Conn) StopRestarting(ctx context.Context) error {
	return c.do(ctx, &wire.Message{Op: wire.StopRestarting})
}

// Keep is StopRestarting by a client that will start the container again: if
// it is connected when the container ends, --rm does not remove it.
func (c *Conn) Keep(ctx context.Context) error {
	return c.do(ctx, &wire.Message{Op: wire.StopRestarting, Keep: true})
}

// Pause freezes the container.
func (c *Conn) Pause(ctx context.Context) error { return c.do(ctx, &wire.Message{Op: wire.Pause}) }

// Resume thaws it.
func (c *Conn) Resume(ctx context.Context) error { return c.do(ctx, &wire.Message{Op: wire.Resume}) }

// Status is what the monitor knows now; the file says the same.
func (c *Conn) Status(ctx context.Context) (container.Status, error) {
	r, _, err := c.call(ctx, &wire.Message{Op: wire.Status})
	if err != nil {
		return container.Status{}, err
	}
	if r.Message.Status == nil {
		return container.Status{}, fault.New(fault.Damaged, "status: empty answer from the monitor")
	}
	return *r.Message.Status, nil
}

// Wait returns when the container has ended and is not restarted. On a
// connection that is attached all output was written before.
func (c *Conn) Wait(ctx context.Context) (container.ExitStatus, error) {
	exit, _, err := c.wait(ctx, false, func() {})
	return exit, err
}

// Removal says who removes a container made with --rm that has ended.
type Removal int

const (
	Others  Removal = iota // another client, or the monitor has it done
	Mine                   // this client, for as long as it keeps the connection open
	Nobodys                // another client starts it again
)

// Reap is Wait by a client that offers to remove a container made with --rm.
// Over is called before, if this client is the one, when the payload has
// ended: its files can go while the monitor clears the rest.
func (c *Conn) Reap(ctx context.Context, over func()) (container.ExitStatus, Removal, error) {
	return c.wait(ctx, true, over)
}

func (c *Conn) wait(ctx context.Context, reap bool, over func()) (container.ExitStatus, Removal, error) {
	m := &wire.Message{Op: wire.Wait, Reap: reap}
	r, ch, err := c.call(ctx, m)
	if err == nil && r.Op == wire.Over {
		over()
		r, err = c.await(ctx, m.Seq, ch)
	}
	switch {
	case err != nil:
		return container.ExitStatus{}, Others, err
	case r.Exit == nil:
		return container.ExitStatus{}, Others, fault.New(fault.Damaged, "wait: answer without an exit status")
	case r.First:
		return *r.Exit, Mine, nil
	case r.Kept:
		return *r.Exit, Nobodys, nil
	}
	return *r.Exit, Others, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}
