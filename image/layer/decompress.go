package layer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/berth-engine/berth/internal/fault"
)

// Decoder begins to decompress r, a stream of kind "gzip", "zstd" or "bzip2".
// stop, which is called once and not during a Read of plain, lets go of what
// that took. An error of r comes out of plain as it is; one with a class keeps
// it, any other says that the stream is bad.
//
// When ctx is done, a Read of plain may wait for r only, for nothing else.
//
// Package codec has the real one. It is asked for by name because it costs
// each start of a program that contains it.
type Decoder func(ctx context.Context, kind string, r io.Reader) (plain io.Reader, stop func(), err error)

// Decompress tells the compression of r by its first bytes (gzip, zstd, bzip2,
// else plain) and returns the plain stream. Concatenated streams are one,
// bytes after the last are an error. A goroutine decompresses ahead of the
// reads; Close ends it and always returns, but does not close r, which may be
// in the middle of a Read until that returns. The end of ctx ends what d has
// started, and is what a Read then says.
//
// What comes out beyond 1 GiB must not exceed what went in by more than
// DefaultRatio; see Reader.SetRatio.
func Decompress(ctx context.Context, r io.Reader, d Decoder) (*Reader, error) {
	in := &input{r: r}
	br := bufio.NewReaderSize(in, readSize)
	head, err := br.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fault.Op("layer.decompress", "", err)
	}
	out := &Reader{ctx: ctx, in: in, free: ratioFree, ratio: DefaultRatio}
	switch kind := kindOf(head); kind {
	case "":
		out.next = br
		return out, nil
	case "xz":
		return nil, fault.New(fault.Unsupported, "layer.decompress: xz compression: decompress it with xz first")
	default:
		dctx, cancel := context.WithCancel(ctx)
		plain, stop, err := d(dctx, kind, br)
		if err != nil {
			cancel()
			return nil, out.explain(err)
		}
		out.ahead = readAhead(plain, stop, cancel, in)
		out.next = out.ahead
		return out, nil
	}
}

// kindOf names the compression of what begins with head; empty for none.
func kindOf(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return "gzip"
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), isSkippable(head):
		return "zstd"
	case bytes.HasPrefix(head, []byte("BZh")):
		return "bzip2"
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return "xz"
	}
	return ""
}

// isSkippable: a zstd stream may begin with a frame for somebody else, as that
// of a seekable archive (RFC 8878 section 3.1.2).
func isSkippable(head []byte) bool {
	return len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18})
}

// Reader is a decompressed stream.
type Reader struct {
	ctx   context.Context //nolint:containedctx // io.Reader has no other place for it
	in    *input
	next  io.Reader
	ahead *ahead // nil for plain input
	out   int64
	free  int64 // bytes that ratio does not count
	ratio int64
}

// SetRatio replaces the limit of plain bytes per compressed byte; 0 is no
// limit. It must be called before the first Read.
func (r *Reader) SetRatio(n int) { r.ratio = int64(n) }

func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.next.Read(p)
	r.out += int64(n)
	if r.ahead != nil && r.ratio > 0 && r.out > r.free && r.out/r.ratio > r.in.count() {
		return n, fault.New(fault.TooLarge, "layer.decompress: more than %d times the compressed size", r.ratio)
	}
	if err != nil && !errors.Is(err, io.EOF) && r.ahead != nil {
		err = r.explain(err)
	}
	return n, err
}

// explain says whose fault it is that decompressing failed.
func (r *Reader) explain(err error) error {
	switch {
	case r.in.failed():
		return err // that of the source
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	case fault.KindOf(err) != fault.Internal:
		return fault.Op("layer.decompress", "", err)
	}
	return fault.New(fault.Damaged, "layer.decompress: %w", err)
}

// Close ends the stream. Reads after it fail.
func (r *Reader) Close() error {
	r.in.close()
	if r.ahead != nil {
		r.ahead.close()
	}
	return nil
}
