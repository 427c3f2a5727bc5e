package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// Progress that forgives earlier failures, and progress below which a
// connection counts as stalled, in bytes.
const (
	forgive  = 1 << 20
	trickles = 4 << 10
)

// blobReader reads one blob over as many connections as it takes.
type blobReader struct {
	ctx  context.Context
	repo *Repo
	want ocispec.Descriptor

	offset  int64 // bytes handed out
	mark    int64 // offset when the failures began to count
	fails   int
	last    error
	noRange bool // the registry answers ranges wrongly: start over and skip

	body   io.ReadCloser
	read   io.Reader
	cancel context.CancelCauseFunc
}

func (r *Repo) openBlob(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	b := &blobReader{ctx: ctx, repo: r, want: d}
	if err := b.connect(); err != nil {
		return nil, err
	}
	return b, nil
}

// Read gives io.EOF only after as many bytes as the descriptor says. A
// registry that sends more is found out by whoever verifies.
func (b *blobReader) Read(p []byte) (int, error) {
	for {
		if b.body == nil {
			if err := b.reconnect(); err != nil {
				return 0, err
			}
		}
		n, err := b.read.Read(p)
		b.offset += int64(n)
		if err == nil {
			return n, nil
		}
		if errors.Is(err, io.EOF) {
			if b.offset >= b.want.Size {
				return n, io.EOF
			}
			err = fmt.Errorf("connection ended after %d of %d bytes: %w", b.offset, b.want.Size, io.ErrUnexpectedEOF)
		}
		b.last = err
		b.drop()
		if n > 0 {
			return n, nil
		}
	}
}

// reconnect goes on where the last connection broke, a bounded number of
// times without progress.
func (b *blobReader) reconnect() error {
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	if b.offset-b.mark >= forgive {
		b.mark, b.fails = b.offset, 0
	}
	b.fails++
	if b.fails >= b.repo.attempts {
		return fault.New(fault.Unavailable, "blob %s from %s: %w (attempts: %d)", b.want.Digest, b.repo.host, b.last, b.fails)
	}
	if err := b.repo.wait(b.ctx, pause(b.fails)); err != nil {
		return err
	}
	return b.connect()
}

func (b *blobReader) connect() error {
	ctx, cancel := context.WithCancelCause(b.ctx)
	head := http.Header{}
	if b.offset > 0 && !b.noRange {
		head.Set("Range", "bytes="+strconv.FormatInt(b.offset, 10)+"-")
	}
	resp, err := b.repo.do(ctx, http.MethodGet, "blobs", b.want.Digest.String(), head, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		cancel(nil)
		return err
	}
	b.body, b.cancel = resp.Body, cancel
	b.read = newWatch(b.repo.stall, cancel).reader(resp.Body)
	if err := b.position(resp); err != nil {
		b.drop()
		return err
	}
	return nil
}

// position makes sure that the next byte read is the one at offset.
func (b *blobReader) position(resp *http.Response) error {
	start := int64(0)
	if resp.StatusCode == http.StatusPartialContent {
		var ok bool
		start, ok = parseContentRange(resp.Header.Get("Content-Range"), b.want.Size)
		if !ok || start != b.offset {
			b.noRange = true
			b.last = fmt.Errorf("wrong Content-Range %q for offset %d of %d", clean(resp.Header.Get("Content-Range")), b.offset, b.want.Size)
			b.drop()
			return nil // Read reconnects, this time without Range
		}
	}
	if n := resp.ContentLength; n >= 0 && start+n != b.want.Size {
		return fault.New(fault.Damaged, "blob %s: expected %d bytes, registry %s offers %d", b.want.Digest, b.want.Size, b.repo.host, start+n)
	}
	if start == b.offset {
		return nil
	}
	if _, err := io.CopyN(io.Discard, b.read, b.offset); err != nil { // Range was ignored
		b.last = err
		b.drop()
	}
	return nil
}

func (b *blobReader) drop() {
	if b.body != nil {
		b.cancel(nil)
		b.body.Close()
		b.body = nil
	}
}

// Close gives the connection up; what was not read is lost.
func (b *blobReader) Close() error { b.drop(); return nil }

// parseContentRange reads "bytes START-END/TOTAL" and checks it against the
// size that the whole must have.
func parseContentRange(s string, size int64) (start int64, ok bool) {
	s, found := strings.CutPrefix(s, "bytes ")
	span, total, found2 := strings.Cut(s, "/")
	from, to, found3 := strings.Cut(span, "-")
	if !found || !found2 || !found3 {
		return 0, false
	}
	start, err := strconv.ParseInt(from, 10, 64)
	end, err2 := strconv.ParseInt(to, 10, 64)
	if err != nil || err2 != nil || start < 0 || end != size-1 || start > end {
		return 0, false
	}
	return start, total == "*" || total == strconv.FormatInt(size, 10)
}

// watch breaks a connection that gives nothing, or next to nothing, for too
// long. Only time spent waiting for the peer counts: a slow disk on our side
// is no stall.
type watch struct {
	limit  time.Duration
	cancel context.CancelCauseFunc
	timer  *time.Timer
	waited time.Duration
	got    int64
}

func newWatch(limit time.Duration, cancel context.CancelCauseFunc) *watch {
	w := &watch{limit: limit, cancel: cancel}
	w.timer = time.AfterFunc(time.Hour, func() { cancel(w.stalled()) })
	w.timer.Stop()
	return w
}

func (w *watch) stalled() error {
	return fmt.Errorf("no data for %s: %w", w.limit, context.DeadlineExceeded)
}

func (w *watch) reader(r io.Reader) io.Reader { return &watched{w, r} }

type watched struct {
	w *watch
	r io.Reader
}

func (x *watched) Read(p []byte) (int, error) {
	w := x.w
	begin := time.Now()
	w.timer.Reset(w.limit)
	n, err := x.r.Read(p)
	fired := !w.timer.Stop()
	w.got += int64(n)
	w.waited += time.Since(begin)
	if fired && err != nil && !errors.Is(err, io.EOF) {
		return n, w.stalled()
	}
	if w.got >= trickles {
		w.got, w.waited = 0, 0
	} else if w.waited > w.limit && err == nil {
		return n, w.stalled()
	}
	return n, err
}
