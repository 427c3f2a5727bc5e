package oci

import (
	"errors"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/runtime/plan"
)

// giveStdio makes the payload's user the owner of its standard streams, so that
// it can open /dev/stdout anew: a pipe of its creator is for that one only.
// Devices stay whose they are: a terminal of the payload's own is given to it
// by its plan, and /dev/null is the machine's. uid is the machine's number.
func giveStdio(files [3]*os.File, uid uint32) error {
	for _, f := range files {
		if f == nil {
			continue
		}
		var st unix.Stat_t
		fd := int(f.Fd())
		if err := unix.Fstat(fd, &st); err != nil {
			return os.NewSyscallError("fstat", err)
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFREG:
		default:
			continue
		}
		if st.Uid == uid {
			continue
		}
		err := unix.Fchown(fd, int(uid), -1)
		if err != nil && !mayKeepOwner(err) {
			return os.NewSyscallError("fchown", err)
		}
	}
	return nil
}

// mayKeepOwner: where owners cannot be given, for want of a right or of a file
// system that has them, nothing was promised.
func mayKeepOwner(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)
}

// hostUID is the machine's number of a container's user; false where its map
// is not known or has none.
func hostUID(s *specs.Spec, uid uint32) (uint32, bool) {
	if !hasNamespace(s, specs.UserNamespace) {
		return uid, true
	}
	return plan.HostID(s.Linux.UIDMappings, uid)
}
