package seal

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

const self = "/proc/self/exe"

// IsSealed reports whether this very process runs from a file that nothing in
// a container could write.
func IsSealed() (bool, error) {
	ok, err := sealed(self)
	return ok, fault.Op("seal.check", self, err)
}

func sealed(path string) (bool, error) {
	if protected(path) {
		return true, nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return false, err
	}
	readOnly := fs.Flags&unix.ST_RDONLY != 0
	if readOnly && int64(fs.Type) == unix.OVERLAYFS_SUPER_MAGIC {
		return true, nil
	}
	if readOnly {
		return detached(path)
	}
	return memorySealed(path)
}

// memorySealed asks for the seals of a memfd; no other file has any.
func memorySealed(path string) (bool, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	have, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if errors.Is(err, unix.EINVAL) {
		return false, nil
	}
	return err == nil && have&seals == seals, err
}

// detached reports whether path is on a mount that this namespace does not
// have: then no remount can make it writable again.
func detached(path string) (bool, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &st); err != nil {
		return false, err
	}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return false, nil // before 5.8; the caller seals again by another way
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	defer f.Close()
	want := strconv.FormatUint(st.Mnt_id, 10)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if id, _, _ := strings.Cut(lines.Text(), " "); id == want {
			return false, nil
		}
	}
	return lines.Err() == nil, lines.Err()
}

// Exec replaces this process by a sealed run of its own binary. It returns
// only an error. Call it when IsSealed says no, and check again afterwards:
// the new process finds itself sealed.
func Exec(argv, env []string) error {
	f, _, err := Open(self)
	if err != nil {
		return err
	}
	defer f.Close()
	return fault.Op("seal.exec", self, unix.Exec(Path(f), argv, env))
}

// Path is the name by which the handle f is run, in this process and in a
// child that has f at the same number.
func Path(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }
