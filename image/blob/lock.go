package blob

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/internal/fault"
)

// Lock waits until nobody else, in this process or another, works on (kind, d)
// and returns the function that lets the next one in. It honours ctx. Whoever
// holds a lock may only wait for locks of things that d is built on, else two
// pulls could wait for each other.
func (s *Store) Lock(ctx context.Context, kind string, d digest.Digest) (func(), error) {
	if err := Check(d); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, "ingest")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, kind+"-"+d.Encoded()+".lock")
	for wait := 2 * time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		f, err := lockFile(path)
		if err == nil {
			return func() { os.Remove(path); f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault.Op("blob.lock", d.String(), err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// lockFile takes the lock if it is free. The holder removes the file before
// letting go, so a lock on a file that has lost its name does not count.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		f.Close()
		return nil, err
	}
	ours, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	named, err := os.Stat(path)
	if err != nil || !os.SameFile(ours, named) {
		f.Close()
		return nil, syscall.EWOULDBLOCK
	}
	return f, nil
}

func tryLock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
