package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/berth-engine/berth/internal/fault"
)

// Lock is an exclusive or shared flock on a file of its own.
type Lock struct{ f *os.File }

// Acquire waits for the lock on path, making the file if needed.
func Acquire(path string, exclusive bool) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	how := How(0)
	if exclusive {
		how = Exclusive
	}
	if err := flock(f, how); err != nil {
		f.Close()
		return nil, fault.Op("lock", path, err)
	}
	return &Lock{f}, nil
}

// Close releases the lock.
func (l *Lock) Close() error { return l.f.Close() }

// How says what kind of lock LockDir takes; the zero value is shared, waiting.
type How uint

// The parts of How.
const (
	Exclusive How = 1 << iota
	NoWait        // fault.Conflict at once instead of waiting
)

// LockDir locks a directory itself, without a lock file in it. The lock goes
// with the directory when it is renamed. A directory that was removed or moved
// away while we waited is fs.ErrNotExist, so a lock got is a lock on what dir
// names now.
func LockDir(dir string, how How) (*Lock, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := flock(f, how); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault.New(fault.Conflict, "lock %s: held by another process", dir)
		}
		return nil, fault.Op("lock", dir, err)
	}
	if err := stillAt(f, dir); err != nil {
		f.Close()
		return nil, err
	}
	return &Lock{f}, nil
}

func flock(f *os.File, how How) error {
	op := syscall.LOCK_SH
	if how&Exclusive != 0 {
		op = syscall.LOCK_EX
	}
	if how&NoWait != 0 {
		op |= syscall.LOCK_NB
	}
	for {
		if err := syscall.Flock(int(f.Fd()), op); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func stillAt(f *os.File, path string) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	now, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(mine, now) {
		return fs.ErrNotExist
	}
	return nil
}
