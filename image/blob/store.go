package blob

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
)

// Store is a directory of blobs. Its methods may be called from several
// goroutines and processes at once.
type Store struct{ dir string }

// Open returns the store below root/blobs. It touches no disk: directories
// are made by the first write.
func Open(root string) *Store { return &Store{dir: filepath.Join(root, "blobs")} }

// Check refuses digests whose grammar or algorithm this store does not take.
// Nothing else of this package turns a digest into a path.
func Check(d digest.Digest) error {
	if hex, ok := strings.CutPrefix(string(d), "sha256:"); ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == "" {
		return nil // nearly all of them, without a regular expression
	}
	if err := d.Validate(); err != nil {
		return fault.New(fault.Invalid, "digest %q: %w", clip(string(d)), err)
	}
	if a := d.Algorithm(); a != digest.SHA256 && a != digest.SHA512 {
		return fault.New(fault.Unsupported, "digest algorithm %s: only sha256 and sha512 are supported", a)
	}
	return nil
}

// Path returns where the blob d is or would be.
func (s *Store) Path(d digest.Digest) (string, error) {
	if err := Check(d); err != nil {
		return "", err
	}
	return filepath.Join(s.dir, d.Algorithm().String(), d.Encoded()), nil
}

// Has reports whether the blob is here with the size that d says.
func (s *Store) Has(d ocispec.Descriptor) bool {
	path, err := s.Path(d.Digest)
	if err != nil {
		return false
	}
	st, err := os.Lstat(path)
	return err == nil && st.Mode().IsRegular() && st.Size() == d.Size
}

// Size returns the bytes of a stored blob.
func (s *Store) Size(d digest.Digest) (int64, error) {
	path, err := s.Path(d)
	if err != nil {
		return 0, err
	}
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fault.New(fault.NotFound, "blob %s is not in the store", d)
	}
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Open reads a blob and verifies it on the way.
func (s *Store) Open(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	path, err := s.Path(d.Digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "blob %s is not in the store", d.Digest)
	}
	if err != nil {
		return nil, err
	}
	return Verify(f, d), nil
}

// Put stores r as the blob d. It is idempotent; r is not read when the blob is
// already here.
func (s *Store) Put(_ context.Context, d ocispec.Descriptor, r io.Reader) error {
	if s.Has(d) {
		return nil
	}
	w, err := s.Create(d)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	_, err = w.Commit()
	return err
}

// Delete forgets the blob; one that is not here is no error.
func (s *Store) Delete(d digest.Digest) error {
	path, err := s.Path(d)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Quarantine moves a damaged blob aside so that it is fetched anew. The bytes
// are kept under corrupt/ for whoever wants to know what happened.
func (s *Store) Quarantine(d digest.Digest) error {
	path, err := s.Path(d)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "corrupt"), 0o700); err != nil {
		return err
	}
	return os.Rename(path, filepath.Join(s.dir, "corrupt", d.Encoded()))
}

// Sync makes the names of all committed blobs durable. Call it once before
// writing a record that points to them.
func (s *Store) Sync() error {
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		err := disk.SyncDir(filepath.Join(s.dir, a.String()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Digests lists what is stored.
func (s *Store) Digests() ([]digest.Digest, error) {
	var out []digest.Digest
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		entries, err := os.ReadDir(filepath.Join(s.dir, a.String()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if d := digest.NewDigestFromEncoded(a, e.Name()); d.Validate() == nil {
				out = append(out, d)
			}
		}
	}
	return out, nil
}

// sweepAge protects a temporary file between its creation and its lock.
const sweepAge = time.Minute

// Sweep removes temporary files whose writer is dead: their lock is free.
func (s *Store) Sweep() error {
	dir := filepath.Join(s.dir, "ingest")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), tempPrefix) || time.Since(info.ModTime()) < sweepAge {
			continue
		}
		sweepFile(filepath.Join(dir, e.Name()))
	}
	return nil
}

func sweepFile(path string) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if tryLock(f) == nil {
		os.Remove(path)
	}
}

// clip keeps foreign text in messages short.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}
