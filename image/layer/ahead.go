package layer

import (
	"errors"
	"io"
	"os"
	"sync"
)

const (
	aheadSize  = 256 << 10
	aheadCount = 8
)

// ahead runs a decompressor in a goroutine, a few buffers in front of the
// reader, so that decompressing and writing files overlap.
//
//	decompressor ── full ──► Read
//	             ◄── free ──
type ahead struct {
	full   chan chunk
	free   chan []byte
	quit   chan struct{}
	done   chan struct{}
	cancel func() // ends a Read of the decompressor that waits for something else than the source
	in     *input

	cur  chunk
	rest []byte
	err  error
}

type chunk struct {
	buf []byte
	n   int
	err error
}

// readAhead starts the goroutine. It calls stop and cancel when it ends.
func readAhead(r io.Reader, stop, cancel func(), in *input) *ahead {
	a := &ahead{
		full:   make(chan chunk, aheadCount),
		free:   make(chan []byte, aheadCount),
		quit:   make(chan struct{}),
		done:   make(chan struct{}),
		cancel: cancel,
		in:     in,
	}
	for range aheadCount {
		a.free <- make([]byte, aheadSize)
	}
	go a.fill(r, stop)
	return a
}

func (a *ahead) fill(r io.Reader, stop func()) {
	defer close(a.done)
	defer a.cancel()
	defer stop()
	for {
		var c chunk
		select {
		case c.buf = <-a.free:
		case <-a.quit:
			return
		}
		for c.n < len(c.buf) && c.err == nil {
			var n int
			n, c.err = r.Read(c.buf[c.n:])
			c.n += n
		}
		a.full <- c // never blocks: there are as many slots as buffers
		if c.err != nil {
			return
		}
	}
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		if a.cur.buf != nil {
			a.free <- a.cur.buf
		}
		select {
		case a.cur = <-a.full:
		case <-a.quit:
			return 0, os.ErrClosed
		}
		a.rest, a.err = a.cur.buf[:a.cur.n], a.cur.err
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// close waits for the goroutine unless that is inside a Read of the source,
// which may never return; it ends as soon as that does.
func (a *ahead) close() {
	select {
	case <-a.quit:
		return
	default:
	}
	close(a.quit)
	a.cancel()
	if !a.in.busy() {
		<-a.done
	}
}

// input is the compressed source. It counts, remembers a failure of its own,
// and can be shut from another goroutine.
type input struct {
	r io.Reader

	mu      sync.Mutex // guards the fields below
	n       int64
	reading bool
	closed  bool
	err     error
}

func (in *input) Read(p []byte) (int, error) {
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		return 0, os.ErrClosed
	}
	in.reading = true
	in.mu.Unlock()

	n, err := in.r.Read(p)

	in.mu.Lock()
	defer in.mu.Unlock()
	in.reading = false
	in.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		in.err = err
	}
	return n, err
}

func (in *input) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
}

// busy reports whether a Read of the source is under way. Once the input is
// closed and not busy it never will be again.
func (in *input) busy() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.reading
}

func (in *input) count() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.n
}

func (in *input) failed() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err != nil
}
