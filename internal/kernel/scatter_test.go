package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestScatter(t *testing.T) {
	dir := t.TempDir()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type != unix.EXT4_SUPER_MAGIC {
		t.Skip("the directory for temporary files is not on ext4")
	}
	Scatter(dir)
	fd, err := unix.Open(dir, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS); err != nil || flags&0x20000 == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
	Scatter(filepath.Join(dir, "missing")) // a hint: nothing happens
}

func TestUnjournaled(t *testing.T) {
	dir := t.TempDir()
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, task string
		want       bool
	}{
		{"without a journal", "<none>\n", true},
		{"with one", "243\n", false},
		{"another file system", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sysfs := t.TempDir()
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(os.MkdirAll(filepath.Join(sysfs, "dev/block"), 0o755))
			must(os.Symlink("../../devices/virtio1/block/vdx", fmt.Sprintf("%s/dev/block/%d:%d", sysfs, unix.Major(st.Dev), unix.Minor(st.Dev))))
			if tt.task != "" {
				must(os.MkdirAll(filepath.Join(sysfs, "fs/ext4/vdx"), 0o755))
				must(os.WriteFile(filepath.Join(sysfs, "fs/ext4/vdx/journal_task"), []byte(tt.task), 0o644))
			}
			if got := unjournaled(sysfs, dir); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if unjournaled(t.TempDir(), dir) {
		t.Error("a sysfs that does not know the device")
	}
}
