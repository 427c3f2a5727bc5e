package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Scatter tells ext4 that the directories in dir have nothing to do with each
// other (chattr +T, FS_TOPDIR_FL of linux/fs.h), so each gets a part of the
// disk of its own. Other file systems do not know the flag and do not need it.
func Scatter(dir string) {
	const topDir = 0x20000
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS); err == nil {
		unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags|topDir) //nolint:errcheck // a hint
	}
}

// ScatterUnjournaled is Scatter where dir lies on ext4 without a journal. There
// an inode is not used again for one to six minutes, and whoever makes a file
// looks at each that was deleted in that part of the disk (recently_deleted in
// fs/ext4/ialloc.c): directories that come and go had better not share one.
// Elsewhere that gives nothing, and a part that nobody has used is read first.
func ScatterUnjournaled(dir string) {
	if unjournaled("/sys", dir) {
		Scatter(dir)
	}
}

// unjournaled asks sysfs, which has a directory for each ext4 that is mounted.
func unjournaled(sysfs, dir string) bool {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return false
	}
	device, err := os.Readlink(fmt.Sprintf("%s/dev/block/%d:%d", sysfs, unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return false
	}
	task, err := os.ReadFile(filepath.Join(sysfs, "fs/ext4", filepath.Base(device), "journal_task"))
	return err == nil && strings.TrimSpace(string(task)) == "<none>"
}
