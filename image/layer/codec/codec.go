// Package codec decompresses layers.
//
//	gzip, zstd, bzip2 ──Decode──► plain
//
// Its tables are made whenever a program starts that contains it, so only
// berth-registry does; see docs/decisions/081-digests.md.
package codec

import (
	"compress/bzip2"
	"context"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/berth-engine/berth/internal/fault"
)

// maxWindow bounds the memory of one zstd stream.
const maxWindow = 64 << 20

// Decode is a layer.Decoder. It works in the Reads of plain, which wait for
// nothing but r.
func Decode(_ context.Context, kind string, r io.Reader) (plain io.Reader, stop func(), err error) {
	switch kind {
	case "gzip":
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case "zstd":
		// Concurrency 1 keeps the library from starting goroutines that read
		// the source: the one that reads ahead is enough.
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	case "bzip2":
		return bzip2.NewReader(r), func() {}, nil
	}
	return nil, nil, fault.New(fault.Unsupported, "compression %q: gzip, zstd and bzip2 are known", kind)
}
