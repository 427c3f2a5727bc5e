// Package disk writes small files so that readers never see half of one.
//
//	Write / WriteJSON   temp file in the same directory, rename
//	  …Durable          and fsync of file and directory before and after
//	ReadJSON            strict, bounded
//	Acquire, LockDir    flock on a file or directory, released by Close or by death
package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
	"github.com/berth-engine/berth/internal/kernel"
)

// MaxJSON bounds a record read by ReadJSON, in bytes.
const MaxJSON = 8 << 20

// Write replaces path by data atomically, without any promise about power cuts.
func Write(path string, data []byte, perm fs.FileMode) error { return write(path, data, perm, false) }

// WriteDurable replaces path by data; once it returns the new content
// survives a power cut.
func WriteDurable(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, true)
}

// WriteJSON writes v as JSON with Write, or with WriteDurable when durable.
func WriteJSON(path string, v any, perm fs.FileMode, durable bool) error {
	data, err := jsontext.Marshal(v)
	if err != nil {
		return fault.Op("encode", path, err)
	}
	return write(path, append(data, '\n'), perm, durable)
}

// ReadJSON decodes path into v. A missing file keeps its fs.ErrNotExist, bytes
// that are no JSON are fault.Damaged.
func ReadJSON(path string, v any) error {
	data, err := ReadInto(nil, path)
	if err != nil {
		return err
	}
	if err := jsontext.Unmarshal(data, v); err != nil {
		return fault.New(fault.Damaged, "read %s: %w", path, err)
	}
	return nil
}

// ReadInto returns the bytes of path, at most MaxJSON. Who reads many files
// gives what it got for the last one as buf, whose room is used again.
func ReadInto(buf []byte, path string) ([]byte, error) {
	buf, err := read(buf[:0], path)
	if err == nil && len(buf) > MaxJSON {
		return nil, fault.New(fault.TooLarge, "read %s: larger than %d bytes", path, MaxJSON)
	}
	return buf, err
}

// read appends the file to buf, at most one byte more than MaxJSON. Three
// system calls for a small file, where os.ReadFile has eight: listing a
// thousand records is mostly these. O_NONBLOCK: a FIFO must not stop us.
func read(buf []byte, path string) ([]byte, error) {
	fd, err := kernel.Retry(func() (int, error) {
		return syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	})
	if err != nil {
		return buf, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd)
	for len(buf) <= MaxJSON {
		if cap(buf)-len(buf) < 4096 {
			buf = slices.Grow(buf, max(8192, len(buf)))
		}
		room := buf[len(buf):min(cap(buf), MaxJSON+1)]
		n, err := kernel.Retry(func() (int, error) { return syscall.Read(fd, room) })
		if err != nil {
			return buf, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		buf = buf[:len(buf)+n]
		if n < len(room) { // a regular file gives less only at its end
			break
		}
	}
	return buf, nil
}

func write(path string, data []byte, perm fs.FileMode, durable bool) (err error) {
	fd, tmp, err := createTemp(path, perm)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			syscall.Unlink(tmp)
		}
	}()
	err = fill(fd, data, durable)
	if cerr := syscall.Close(fd); err == nil {
		err = cerr
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	if err = syscall.Rename(tmp, path); err != nil {
		return &os.LinkError{Op: "rename", Old: tmp, New: path, Err: err}
	}
	if durable {
		return SyncDir(filepath.Dir(path))
	}
	return nil
}

func fill(fd int, data []byte, durable bool) error {
	for len(data) > 0 {
		n, err := kernel.Retry(func() (int, error) { return syscall.Write(fd, data) })
		if err != nil {
			return err
		}
		data = data[n:]
	}
	if !durable {
		return nil
	}
	_, err := kernel.Retry(func() (int, error) { return 0, syscall.Fsync(fd) })
	return err
}

// createTemp makes ".NAME.PID-TIME" beside path. O_EXCL: nobody else's file is
// ever written through.
func createTemp(path string, perm fs.FileMode) (fd int, tmp string, err error) {
	const flags = syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL | syscall.O_CLOEXEC
	dir, name := filepath.Split(path)
	for range 100 {
		tmp = dir + "." + name + "." + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
		fd, err = kernel.Retry(func() (int, error) { return syscall.Open(tmp, flags, uint32(perm.Perm())) })
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if err != nil {
		return -1, "", &fs.PathError{Op: "create", Path: path, Err: err}
	}
	return fd, tmp, nil
}

// SyncDir makes the entries of dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
