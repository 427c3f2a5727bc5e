package under

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// Resolve flags of OpenAt, under shorter names.
const (
	// InRoot treats the directory as "/" for absolute links and "..".
	InRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	// Beneath refuses links, mount points and ways out altogether.
	Beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV
)

// maxRetries bounds how often openat2 may answer EAGAIN, which it does when
// something was renamed while ".." was being resolved.
const maxRetries = 128

// OpenAt is openat2: it opens path below the directory dirfd under the given
// RESOLVE_ flags and returns a close-on-exec descriptor.
func OpenAt(dirfd int, path string, flags int, perm uint32, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolve}
	if flags&(unix.O_CREAT|unix.O_TMPFILE&^unix.O_DIRECTORY) != 0 {
		how.Mode = uint64(perm)
	}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(dirfd, path, &how)
		switch {
		case err == nil:
			return fd, nil
		case errors.Is(err, unix.EINTR):
			try-- // not the tree's doing
		case errors.Is(err, unix.EAGAIN) && try < maxRetries:
		case errors.Is(err, unix.ENOSYS):
			return -1, fault.New(fault.Unsupported, "openat2: %w: the kernel must be Linux 5.6 or later", err)
		default:
			return -1, err
		}
	}
}
