package image

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/snapshot"
)

// lease says what an operation under way needs, in a file that stays flocked
// while its owner lives.
type lease struct {
	All   bool            `json:"all,omitempty"` // digests are not known yet: keep everything
	Blobs []digest.Digest `json:"blobs,omitempty"`
	Trees []snapshot.Name `json:"trees,omitempty"`
}

// leaseSerial tells the leases of one process apart.
var leaseSerial atomic.Uint64

// take writes a lease under the store's lock, so that a collection either sees
// it or is over. The returned function ends it.
func (s *Store) take(l lease) (func(), error) {
	dir := filepath.Join(s.root, "leases")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	text, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, strconv.Itoa(os.Getpid())+"-"+strconv.FormatUint(leaseSerial.Add(1), 10)+".json")
	var f *os.File
	err = s.locked(func() error {
		var err error
		// A file of this name can only be that of a dead process with our pid.
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
			return err
		}
		if _, err := f.Write(text); err != nil {
			os.Remove(path)
			f.Close()
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func() { os.Remove(path); f.Close() }, nil
}

// leases returns what live operations need and removes the files of dead
// ones. Call it under the lock.
func (s *Store) leases() ([]lease, error) {
	dir := filepath.Join(s.root, "leases")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []lease
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if isDead(path) {
			os.Remove(path)
			continue
		}
		var l lease
		err := disk.ReadJSON(path, &l)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// isDead reports whether nobody holds the lease's lock.
func isDead(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil
}
