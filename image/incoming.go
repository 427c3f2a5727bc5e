package image

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// often is how long a terminal waits for the next number.
const often = 100 * time.Millisecond

// incoming is a compressed layer on its way: whoever reads it makes it come,
// be counted, and be stored unless it is stored already.
type incoming struct {
	d    ocispec.Descriptor
	tell func(Event)
	rc   io.ReadCloser
	w    *blob.Writer // nil when it comes from the blob store

	mu   sync.Mutex // the decompressor may still be reading when we give up
	n    int64
	told time.Time
	err  error
}

func (s *Store) incoming(ctx context.Context, src blob.Source, d ocispec.Descriptor, local bool, tell func(Event)) (*incoming, error) {
	in := &incoming{d: d, tell: tell}
	var err error
	if local {
		in.rc, err = s.blobs.Open(ctx, d)
		return in, err
	}
	if err := s.reached("download"); err != nil {
		return nil, err
	}
	if in.rc, err = src.Open(ctx, d); err != nil {
		return nil, err
	}
	if in.w, err = s.blobs.Create(d); err != nil {
		in.rc.Close()
		return nil, err
	}
	return in, nil
}

func (in *incoming) Read(p []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err != nil {
		return 0, in.err
	}
	n, err := in.rc.Read(p)
	if in.w != nil && n > 0 {
		if _, werr := in.w.Write(p[:n]); werr != nil {
			n, err = 0, werr
		}
	}
	in.n += int64(n)
	in.err = err
	in.count(errors.Is(err, io.EOF))
	return n, err
}

// count tells terminals how far it is, not too often.
func (in *incoming) count(end bool) {
	if in.w == nil {
		return
	}
	if end {
		in.tell(Event{Layer: short(in.d), Text: "Download complete"})
		return
	}
	if now := time.Now(); now.Sub(in.told) >= often {
		in.told = now
		in.tell(Event{Layer: short(in.d), Text: "Downloading", Current: in.n, Total: in.d.Size})
	}
}

// finish reads what is left, compares and stores. err is what unpacking said:
// when the bytes were wrong in the first place, that is the better story.
func (in *incoming) finish(err error) error {
	_, rest := io.Copy(io.Discard, in)
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.w == nil {
		if errors.Is(rest, fault.Damaged) {
			return errors.Join(errRotten, rest)
		}
		return firstOf(err, rest)
	}
	if rest != nil {
		if err != nil && errors.Is(rest, context.Canceled) {
			return err
		}
		return rest
	}
	if err != nil {
		if werr := in.w.Check(); werr != nil {
			return werr
		}
		return err
	}
	_, err = in.w.Commit()
	return err
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Close lets the source go and drops what was not committed.
func (in *incoming) Close() error {
	err := in.rc.Close()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err == nil {
		in.err = io.ErrClosedPipe
	}
	if in.w != nil {
		err = errors.Join(err, in.w.Close())
	}
	return err
}
