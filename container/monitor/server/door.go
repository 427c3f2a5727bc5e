package server

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/fault"
)

// maxClients bounds the connections at one time.
const maxClients = 512

// door is the listening socket.
type door struct{ f *os.File }

// listen makes ctl.sock in dir, mode 0600 from its first moment on. A socket
// that a killed monitor left is replaced, that of a living one is not.
func listen(dir string) (*door, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = wire.Address(dir, func(a *syscall.SockaddrUnix) error { return bind(fd, a) })
	if err == nil {
		err = syscall.Listen(fd, 128)
	}
	if err != nil {
		syscall.Close(fd)
		return nil, fault.Op("listen", filepath.Join(dir, wire.Socket), err)
	}
	return &door{os.NewFile(uintptr(fd), "control socket")}, nil
}

func bind(fd int, a *syscall.SockaddrUnix) error {
	old := syscall.Umask(0o177) // before any other goroutine makes files
	defer syscall.Umask(old)
	err := syscall.Bind(fd, a)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	probe, perr := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if perr != nil {
		return perr
	}
	defer syscall.Close(probe)
	if perr := syscall.Connect(probe, a); !errors.Is(perr, syscall.ECONNREFUSED) {
		return fault.New(fault.Conflict, "another monitor serves this container")
	}
	if err := os.Remove(a.Name); err != nil {
		return err
	}
	return syscall.Bind(fd, a)
}

// accept hands connections to serve until the door closes. busy is held while
// one is neither in the backlog nor served.
func (d *door) accept(busy *sync.RWMutex, serve func(fd int)) {
	raw, err := d.f.SyscallConn()
	if err != nil {
		return
	}
	for {
		rerr := raw.Read(func(l uintptr) bool {
			busy.RLock()
			defer busy.RUnlock()
			var fd int
			if fd, _, err = unix.Accept4(int(l), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK); err == nil {
				serve(fd)
			}
			return err != unix.EAGAIN
		})
		switch {
		case rerr != nil:
			return // closed
		case err == unix.EMFILE || err == unix.ENFILE || err == unix.ENOMEM || err == unix.ENOBUFS:
			time.Sleep(50 * time.Millisecond) // no spinning while descriptors are short
		}
	}
}

func (d *door) close() { d.f.Close() }
