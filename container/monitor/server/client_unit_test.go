package server

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/fault"
)

// newPair is a client and the far end of its connection.
func newPair(t *testing.T) (*client, *wire.Link) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var links [2]*wire.Link
	for i, fd := range fds {
		if links[i], err = wire.NewLink(fd); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { links[i].Close() })
	}
	return newClient(links[0]), links[1]
}

func frameOf(kind wire.Type, text []byte) []byte {
	f := make([]byte, wire.HeaderSize, wire.HeaderSize+len(text))
	wire.PutHeader(f, kind, len(text))
	return append(f, text...)
}

// Frames arrive whole and in order, however they were split between the
// socket and the queue.
func TestClientKeepsOrder(t *testing.T) {
	c, far := newPair(t)
	c.attach(wire.Streams{Stdout: true})
	const n = 300
	go func() {
		for i := range n {
			c.put(frameOf(wire.Stdout, bytes.Repeat([]byte{byte(i)}, 5000)))
			c.relieve(nil)
		}
	}()
	for i := range n {
		_, data, err := wire.Read(far)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(data, bytes.Repeat([]byte{byte(i)}, 5000)) {
			t.Fatalf("frame %d is not what was sent", i)
		}
	}
	if !c.flushed(time.Second) {
		t.Error("not flushed")
	}
}

func TestClientThatTakesNothingIsDropped(t *testing.T) {
	c, far := newPair(t)
	c.patience = 50 * time.Millisecond
	began := time.Now()
	var pumps sync.WaitGroup
	for range 2 { // stdout and stderr wait for the same client
		pumps.Go(func() {
			for !c.isDropped() && time.Since(began) < 10*time.Second {
				c.put(frameOf(wire.Stdout, make([]byte, 32<<10)))
				c.relieve(nil)
			}
		})
	}
	pumps.Wait()
	if !c.isDropped() {
		t.Fatal("the client was not dropped")
	}
	if c.behind != 0 || c.queue != nil {
		t.Errorf("%d bytes are still queued", c.behind)
	}
	for {
		if _, _, err := wire.Read(far); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the far end sees %v", err)
			}
			return
		}
	}
}

func (c *client) isDropped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}

// When the payload is gone nobody is waited for, and nobody is dropped.
func TestClientInHurry(t *testing.T) {
	c, _ := newPair(t)
	c.patience = time.Hour
	over := make(chan struct{})
	close(over)
	for range 40 {
		c.put(frameOf(wire.Stdout, make([]byte, 32<<10)))
		c.relieve(over)
	}
	if c.isDropped() {
		t.Error("dropped")
	}
	if c.flushed(10 * time.Millisecond) {
		t.Error("flushed, though nobody reads")
	}
}

func TestLaneWindow(t *testing.T) {
	l := lane{busy: new(sync.RWMutex)}
	hold, done := make(chan struct{}), make(chan struct{})
	var got []byte
	carry := func(data []byte) {
		<-hold
		got = append(got, data...)
		if data == nil {
			close(done)
		}
	}
	half := bytes.Repeat([]byte("h"), wire.Window/2)
	for range 2 {
		if err := l.put(half, carry); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.put([]byte("x"), carry); !errors.Is(err, fault.TooLarge) {
		t.Errorf("more than the window: %v", err)
	}
	if err := l.put(nil, carry); err != nil {
		t.Errorf("end of input: %v", err)
	}
	close(hold)
	<-done
	if len(got) != wire.Window {
		t.Errorf("%d bytes carried", len(got))
	}
}

// A client that breaks the protocol is cut off; the others are not.
func TestBadClients(t *testing.T) {
	b := newBox(t, nil)
	s := newServer(b.cfg, &brief{fake: fake{dir: b.dir}, refuse: func(int) error { return nil }})
	link, done := serveHere(t, s)
	request(t, link, &wire.Message{Op: wire.Status, Seq: 1}) // it is up
	for _, bytes := range [][]byte{
		[]byte("GET / HTTP/1.1\r\n\r\n"),
		{3, 0, 0, 0, 255, 255, 255, 255},
		frameOf(wire.Control, []byte("{")),
		frameOf(wire.Stdout, []byte("not for you")),
	} {
		var bad *wire.Link
		err := wire.Address(b.cfg.RunDir, func(a *syscall.SockaddrUnix) error {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			if err := syscall.Connect(fd, a); err != nil {
				return err
			}
			bad, err = wire.NewLink(fd)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := bad.Send(bytes, time.Second); err != nil {
			t.Error(err)
		}
		_ = bad.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, _, err := wire.Read(bad); !errors.Is(err, io.EOF) {
			t.Errorf("%q: %v", bytes[:4], err)
		}
		bad.Close()
	}
	if m := request(t, link, &wire.Message{Op: "dance", Seq: 9}); m.Op != wire.Failed || !errors.Is(m.Err, fault.Unsupported) || m.Seq != 9 {
		t.Errorf("unknown verb: %+v", m)
	}
	if m := request(t, link, &wire.Message{Op: wire.Signal, Seq: 10, Signal: 9}); !errors.Is(m.Err, fault.NotRunning) {
		t.Errorf("signal before start: %+v", m)
	}
	if m := request(t, link, &wire.Message{Op: wire.Exec, Seq: 11}); !errors.Is(m.Err, fault.Invalid) {
		t.Errorf("exec of nothing: %+v", m)
	}
	link.Close()
	if err := <-done; !errors.Is(err, errUnused) {
		t.Errorf("run: %v", err)
	}
}
