package kernel

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
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

// Places is the directory that Spread makes. No container can have that name.
//
//	dir/.places~/0 … 15   each in a part of the disk of its own
//	dir/.places~/7/new    a directory, until it is moved to dir/NAME
const (
	Places = ".places~"
	places = 16
)

// Spread is os.MkdirAll with mode 0700 for a directory of directories that come
// and go. If it was not there and lies on ext4 without a journal it is prepared
// for MkdirSpread. On that an inode is not used again for one to six minutes,
// and whoever makes a file looks at each that was deleted in that part of the
// disk (recently_deleted in fs/ext4/ialloc.c): what comes and goes had better
// not be all in one. With many parts, on the other hand, most are new to this
// boot, and are read from the disk first.
func Spread(dir string) error {
	_, missing := os.Lstat(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if missing != nil && unjournaled("/sys", dir) {
		makePlaces(dir)
	}
	return nil
}

// makePlaces gives a hint: without all of them MkdirSpread makes directories
// like any other.
func makePlaces(dir string) {
	top := filepath.Join(dir, Places)
	if os.Mkdir(top, 0o700) != nil {
		return // another process is at it
	}
	Scatter(top)
	for i := range places {
		os.Mkdir(place(dir, i), 0o700) //nolint:errcheck // a hint
	}
}

func place(dir string, i int) string { return filepath.Join(dir, Places, strconv.Itoa(i)) }

// MkdirSpread makes the directory path with mode 0700, somewhere in the parts
// of the disk that Spread chose for its parent. Like mkdir it fails where
// something is already.
func MkdirSpread(path string) error {
	err := mkdirIn(place(filepath.Dir(path), rand.IntN(places)), path)
	switch err {
	case nil:
		return nil
	case unix.ENOENT: // there are no places
		return os.Mkdir(path, 0o700)
	}
	return &fs.PathError{Op: "mkdir", Path: path, Err: err}
}

// mkdirIn makes a directory in place and moves it to path. Two of us may do
// that at once, and each may move what the other has made, as both are empty.
func mkdirIn(place, path string) error {
	newborn := place + "/new"
	if err := unix.Mkdir(newborn, 0o700); err != nil && err != unix.EEXIST {
		return err
	}
	return unix.Renameat2(unix.AT_FDCWD, newborn, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
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
