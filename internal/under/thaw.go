package under

import "golang.org/x/sys/unix"

// frozen are the inode flags that forbid removal even to root, FS_IMMUTABLE_FL
// and FS_APPEND_FL of linux/fs.h (chattr +i, +a); a privileged container may
// have set them in its own tree.
const frozen = 0x10 | 0x20

// thaw clears them on the directory dirfd and on its entry name and reports
// whether there were any. Only files and directories can carry them.
func thaw(dirfd int, name string) bool {
	self := thawOne(dirfd, ".")
	return thawOne(dirfd, name) || self
}

func thawOne(dirfd int, name string) bool {
	var st unix.Stat_t
	if err := unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false
	}
	if t := st.Mode & unix.S_IFMT; t != unix.S_IFREG && t != unix.S_IFDIR {
		return false // opening a device has effects of its own
	}
	fd, err := OpenAt(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0, Beneath)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err != nil || flags&frozen == 0 {
		return false
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags&^frozen) == nil
}
