package overlay

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// refused are file systems that the kernel does not take for the upper
// directory, by statfs(2)'s magic number. Those that are not listed are left
// for the kernel to judge.
var refused = map[int64]string{
	unix.OVERLAYFS_SUPER_MAGIC: "overlay (are we in a container?)",
	unix.NFS_SUPER_MAGIC:       "nfs",
	unix.MSDOS_SUPER_MAGIC:     "vfat",
	unix.EXFAT_SUPER_MAGIC:     "exfat",
	unix.V9FS_MAGIC:            "9p",
	unix.CIFS_SUPER_MAGIC:      "cifs",
	unix.SMB2_SUPER_MAGIC:      "smb",
	unix.ECRYPTFS_SUPER_MAGIC:  "ecryptfs",
	unix.RAMFS_MAGIC:           "ramfs",
	unix.SQUASHFS_MAGIC:        "squashfs",
	unix.ISOFS_SUPER_MAGIC:     "iso9660",
}

// usable says what to do when dir is where overlay cannot write.
func usable(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	name, bad := refused[int64(st.Type)]
	if !bad {
		return nil
	}
	return fault.New(fault.Unsupported, "%s is on %s, which cannot hold overlay's writable layer: "+
		"put the state (--root) on ext4, xfs, btrfs or tmpfs", dir, name)
}
