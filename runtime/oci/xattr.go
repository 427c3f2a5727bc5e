package oci

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// attribute is an extended attribute of a file; xattr(7).
type attribute struct {
	name  string
	value []byte
}

// keptAttribute: users' own, file capabilities and access lists. Labels are
// for the new file system to give, and trusted ones speak of the old one.
func keptAttribute(name string) bool {
	switch name {
	case "security.capability", "system.posix_acl_access", "system.posix_acl_default":
		return true
	}
	return strings.HasPrefix(name, "user.")
}

// attributes reads what is kept of a file; none where there are no attributes.
func attributes(fd int) ([]attribute, error) {
	names, err := growing(func(b []byte) (int, error) { return unix.Flistxattr(fd, b) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, os.NewSyscallError("flistxattr", err)
	}
	var out []attribute
	for name := range strings.SplitSeq(string(names), "\x00") {
		if !keptAttribute(name) {
			continue
		}
		value, err := growing(func(b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) })
		switch {
		case errors.Is(err, unix.ENODATA): // it went meanwhile
		case err != nil:
			return nil, fmt.Errorf("fgetxattr %s: %w", name, err)
		default:
			out = append(out, attribute{name, value})
		}
	}
	return out, nil
}

// growing reads into a buffer that is large enough; the kernel allows 64 KiB.
func growing(read func([]byte) (int, error)) ([]byte, error) {
	for _, size := range []int{256, 1 << 16} {
		b := make([]byte, size)
		n, err := read(b)
		if err == nil {
			return b[:n], nil
		}
		if !errors.Is(err, unix.ERANGE) || size == 1<<16 {
			return nil, err
		}
	}
	return nil, unix.ERANGE
}

// setAttributes gives them to a copy. One that its file system does not take
// is left out: tmpfs has users' own since Linux 6.6, and capabilities need
// CAP_SETFCAP and an owner whom the user namespace knows.
func setAttributes(to int, f *copied) error {
	if len(f.attrs) == 0 {
		return nil
	}
	fd, err := unix.Openat(to, f.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("openat", err)
	}
	defer unix.Close(fd)
	for _, a := range f.attrs {
		err := unix.Fsetxattr(fd, a.name, a.value, 0)
		switch {
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOVERFLOW):
		case err != nil:
			return fmt.Errorf("fsetxattr %s: %w", a.name, err)
		}
	}
	return nil
}
