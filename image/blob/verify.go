package blob

import (
	"context"
	"errors"
	"hash"
	"io"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// verifier is a reader whose io.EOF can be trusted.
type verifier struct {
	io.Closer
	r    io.Reader
	want ocispec.Descriptor
	hash hash.Hash
	n    int64
	err  error
}

// Verify returns a reader that gives io.EOF only when the bytes were those of
// d, and fault.Damaged when they were too many, too few or others. Closing it
// closes r. d.Digest must have passed Check.
func Verify(r io.ReadCloser, d ocispec.Descriptor) io.ReadCloser {
	return &verifier{Closer: r, r: r, want: d, hash: d.Digest.Algorithm().Hash()}
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	v.n += int64(n)
	switch {
	case v.n > v.want.Size:
		err = fault.New(fault.Damaged, "blob %s is longer than the %d bytes its descriptor says", v.want.Digest, v.want.Size)
		n = 0
	case errors.Is(err, io.EOF):
		if bad := mismatch(v.want, digest.NewDigest(v.want.Digest.Algorithm(), v.hash), v.n); bad != nil {
			err = bad
		}
	}
	v.err = err
	return n, err
}

// ReadAll reads one small blob whole, verified, and refuses to buffer more
// than limit bytes.
func ReadAll(ctx context.Context, src Source, d ocispec.Descriptor, limit int64) ([]byte, error) {
	if err := Check(d.Digest); err != nil {
		return nil, err
	}
	if d.Size < 0 || d.Size > limit {
		return nil, fault.New(fault.TooLarge, "%s %s has %d bytes, the limit is %d", d.MediaType, d.Digest, d.Size, limit)
	}
	rc, err := src.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(Verify(rc, d))
}
