package seal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// Method is how a handle was sealed.
type Method string

// The methods, best first.
const (
	Overlay Method = "overlay"
	Bind    Method = "bind"
	Memfd   Method = "memfd"
	Plain   Method = "plain" // the file's owner and mode protect it from this caller
)

// seals of a memfd: no byte, no size and no seal can change.
const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// minFD keeps handles clear of the numbers that a child's stdio is put on.
const minFD = 16

// Open returns a handle on the program at path through which it can be run
// (by /proc/self/fd/N) and never written. The caller closes it.
func Open(path string) (*os.File, Method, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return nil, "", fault.Op("seal", path, fault.As(fault.NotFound, err))
	}
	if protected(real) {
		f, err := plain(real)
		return f, Plain, fault.Op("seal", path, err)
	}
	return first(real, []way{{Overlay, overlay}, {Bind, bind}, {Memfd, memfd}})
}

type way struct {
	method Method
	open   func(path string) (*os.File, error)
}

// first tries the ways in turn and reports all of their errors when none works.
func first(path string, ways []way) (*os.File, Method, error) {
	var errs []error
	for _, w := range ways {
		f, err := w.open(path)
		if err == nil {
			return f, w.method, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", w.method, err))
	}
	return nil, "", fault.Op("seal", path, errors.Join(errs...))
}

// overlay opens path on an overlay of two lower directories and no upper one.
func overlay(path string) (*os.File, error) {
	dir, name := filepath.Split(path)
	dir = filepath.Clean(dir)
	second, err := stranger(dir)
	if err != nil {
		return nil, err
	}
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "lowerdir", escape(dir)+":"+second); err != nil {
		return nil, os.NewSyscallError("fsconfig", err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, os.NewSyscallError("fsconfig create", err)
	}
	mnt, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	defer unix.Close(mnt)
	return openIn(mnt, name, path)
}

// strangers are directories that nearly every system has. An overlay without
// an upper directory needs a second lower one, on which neither the first nor
// a parent of it may lie. What is in it does not matter: only the binary is
// opened, and the mount is visible to nobody.
var strangers = [...]string{"/var/empty", "/srv", "/mnt", "/media", "/opt", "/boot", "/etc"}

func stranger(dir string) (string, error) {
	for _, s := range strangers {
		if below(s, dir) || below(dir, s) {
			continue
		}
		var st unix.Stat_t
		if unix.Lstat(s, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return s, nil
		}
	}
	return "", fault.New(fault.NotFound, "no second lower directory beside %s", dir)
}

// below reports whether a is b or lies below it.
func below(a, b string) bool {
	return a == b || b == "/" || strings.HasPrefix(a, b+"/")
}

// escape protects what separates lower directories.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(dir)
}

// bind opens path on a detached clone of its mount, made read-only.
func bind(path string) (*os.File, error) {
	dir, name := filepath.Split(path)
	mnt, err := unix.OpenTree(unix.AT_FDCWD, filepath.Clean(dir), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(mnt)
	attr := unix.MountAttr{
		Attr_set:    unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV,
		Propagation: unix.MS_PRIVATE,
	}
	if err := unix.MountSetattr(mnt, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return nil, os.NewSyscallError("mount_setattr", err)
	}
	return openIn(mnt, name, path)
}

// memfd copies path into memory and seals the copy.
func memfd(path string) (*os.File, error) {
	src, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	fd, err := unix.MemfdCreate(filepath.Base(path), unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before 6.3 there is no MFD_EXEC, and all are executable
		fd, err = unix.MemfdCreate(filepath.Base(path), unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() // a file that is open for writing cannot be executed
	if _, err := f.ReadFrom(src); err != nil {
		return nil, err
	}
	if err := unix.Fchmod(fd, 0o555); err != nil {
		return nil, os.NewSyscallError("fchmod", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, os.NewSyscallError("seal", err)
	}
	handle, err := unix.Open(Path(f), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(handle)
	return raise(handle, path)
}

// protected reports whether this process could not write path anyway: it is
// not root, the file is root's, and the mode gives nobody else a right to it.
func protected(path string) bool {
	if os.Geteuid() == 0 {
		return false
	}
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && st.Uid == 0 && st.Mode&0o022 == 0 && unix.Access(path, unix.W_OK) != nil
}

func plain(path string) (*os.File, error) {
	return openIn(unix.AT_FDCWD, path, path)
}

func openIn(dir int, name, path string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0 {
		return nil, &os.PathError{Op: "seal", Path: path, Err: unix.EACCES}
	}
	return raise(fd, path)
}

func raise(fd int, path string) (*os.File, error) {
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, minFD)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	return os.NewFile(uintptr(high), path), nil
}
