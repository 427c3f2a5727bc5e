package blob

import (
	"errors"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

const tempPrefix = "new-"

// Unknown is the Size of a descriptor whose length is found out by writing.
const Unknown = -1

// Writer receives one blob. Use it from one goroutine.
type Writer struct {
	store *Store
	want  ocispec.Descriptor
	f     *os.File
	algo  digest.Algorithm
	hash  hash.Hash
	n     int64
	done  bool
	err   error
}

// Create begins a blob. An empty d.Digest means that any content is welcome
// and named afterwards; then d.Size may be Unknown. Close it in any case.
func (s *Store) Create(d ocispec.Descriptor) (*Writer, error) {
	algo := digest.SHA256
	if d.Digest != "" {
		if err := Check(d.Digest); err != nil {
			return nil, err
		}
		algo = d.Digest.Algorithm()
	}
	f, err := s.temp()
	if err != nil {
		return nil, fault.Op("blob.create", string(d.Digest), err)
	}
	return &Writer{store: s, want: d, f: f, algo: algo, hash: algo.Hash()}, nil
}

// serial tells the temporary files of one process apart.
var serial atomic.Uint64

// temp makes a locked file of our own in ingest/. The lock dies with us, which
// is how Sweep knows leftovers.
func (s *Store) temp() (*os.File, error) {
	dir := filepath.Join(s.dir, "ingest")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for range 100 {
		name := tempPrefix + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatUint(serial.Add(1), 36)
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := tryLock(f); err != nil {
			f.Close()
			os.Remove(f.Name())
			return nil, err
		}
		return f, nil
	}
	return nil, fs.ErrExist
}

// Write hashes and stores p. More bytes than the descriptor allows are an
// error, found before they reach the disk.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.want.Size >= 0 && w.n+int64(len(p)) > w.want.Size {
		w.err = fault.New(fault.Damaged, "blob %s is longer than the %d bytes its descriptor says", w.want.Digest, w.want.Size)
		return 0, w.err
	}
	n, err := w.f.Write(p)
	w.hash.Write(p[:n])
	w.n += int64(n)
	w.err = err
	return n, err
}

// Check compares what came so far with what was promised.
func (w *Writer) Check() error {
	if w.err != nil {
		return w.err
	}
	return mismatch(w.want, digest.NewDigest(w.algo, w.hash), w.n)
}

// Commit compares what came with what was promised, makes it durable and gives
// it its name. The directory is made durable by Store.Sync.
func (w *Writer) Commit() (ocispec.Descriptor, error) {
	got := ocispec.Descriptor{
		MediaType: w.want.MediaType, Digest: digest.NewDigest(w.algo, w.hash), Size: w.n,
	}
	if err := w.Check(); err != nil {
		return got, err
	}
	if w.store.Has(got) {
		return got, nil // somebody else was faster; Close drops ours
	}
	path, err := w.store.Path(got.Digest)
	if err != nil {
		return got, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return got, err
	}
	if err := w.f.Sync(); err != nil {
		return got, fault.Op("blob.commit", got.Digest.String(), err)
	}
	if err := os.Rename(w.f.Name(), path); err != nil {
		return got, fault.Op("blob.commit", got.Digest.String(), err)
	}
	w.done = true
	return got, nil
}

// Close releases the file and, unless committed, removes it.
func (w *Writer) Close() error {
	var err error
	if !w.done {
		w.done = true
		err = os.Remove(w.f.Name())
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	cerr := w.f.Close()
	if errors.Is(cerr, os.ErrClosed) {
		cerr = nil
	}
	return errors.Join(err, cerr)
}

// mismatch says how content differs from its descriptor.
func mismatch(want ocispec.Descriptor, got digest.Digest, size int64) error {
	switch {
	case want.Digest != "" && want.Size >= 0 && size != want.Size:
		return fault.New(fault.Damaged, "blob %s: expected %d bytes, got %d", want.Digest, want.Size, size)
	case want.Digest != "" && got != want.Digest:
		return fault.New(fault.Damaged, "blob %s: wrong digest: expected %s, got %s", want.Digest, want.Digest, got)
	}
	return nil
}
