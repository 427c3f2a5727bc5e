package wire

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Socket is the name of a monitor's socket in its run directory.
const Socket = "ctl.sock"

// maxPath is the room for a path in struct sockaddr_un, less the final NUL.
const maxPath = 107

// Address calls f with a name of dir/Socket that fits into a socket address:
// a long path goes by way of an open descriptor of dir.
func Address(dir string, f func(*syscall.SockaddrUnix) error) error {
	path := filepath.Join(dir, Socket)
	if len(path) <= maxPath {
		return f(&syscall.SockaddrUnix{Name: path})
	}
	fd, err := syscall.Open(dir, 0o10000000|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0) // O_PATH
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer syscall.Close(fd)
	return f(&syscall.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", fd, Socket)})
}
