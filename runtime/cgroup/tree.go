package cgroup

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// tree is the group's directory in one hierarchy.
type tree struct {
	controllers []string
	unified     bool
	path        string
	top         string // the mount point, where it is known
}

// has reports whether controller belongs to this tree.
func (t *tree) has(controller string) bool {
	return slices.Contains(t.controllers, controller)
}

// seam is called before every change with the name of the system call and its
// object; an error stands for the kernel's. Tests only.
type seam func(call, object string) error

func (s seam) fail(call, object string) error {
	if s == nil {
		return nil
	}
	return s(call, object)
}

// dir is a directory of a group, opened when first needed: what is opened
// below it is opened in that very directory, whatever the path means by then.
type dir struct {
	path string
	fd   int // -1: not yet
	fake bool
	seam seam
}

func (g *group) dir(path string) *dir {
	return &dir{path: path, fd: -1, fake: g.fake, seam: g.seam}
}

func (d *dir) close() {
	if d.fd >= 0 {
		unix.Close(d.fd)
		d.fd = -1
	}
}

// open opens name below the directory with raw descriptors: the runtime's
// poller, which an os.File would meet here, costs more than the write.
func (d *dir) open(name string, flags int) (int, error) {
	if d.fd < 0 {
		if err := d.seam.fail("open", d.path); err != nil {
			return -1, err
		}
		fd, err := kernel.Retry(func() (int, error) {
			return unix.Open(d.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		})
		if err != nil {
			return -1, err
		}
		if !d.fake {
			if err := isCgroup(fd); err != nil {
				unix.Close(fd)
				return -1, err
			}
		}
		d.fd = fd
	}
	return kernel.Retry(func() (int, error) { return unix.Openat(d.fd, name, flags|unix.O_CLOEXEC, 0) })
}

// isCgroup keeps us from reading pids to kill, or writing limits, in a
// directory that only looks like a group.
func isCgroup(fd int) error {
	var st unix.Statfs_t
	if _, err := kernel.Retry(func() (int, error) { return 0, unix.Fstatfs(fd, &st) }); err != nil {
		return err
	}
	if st.Type != unix.CGROUP_SUPER_MAGIC && st.Type != unix.CGROUP2_SUPER_MAGIC {
		return fault.New(fault.Damaged, "not on a cgroup file system")
	}
	return nil
}

// write writes text to one file.
func (d *dir) write(name, text string) error {
	fd, err := d.open(name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return d.put(fd, name, text)
}

// put writes text to an open file of the directory. Every write(2) is one
// setting, so a file may be written again without opening it again.
func (d *dir) put(fd int, name, text string) error {
	if err := d.seam.fail("write", name); err != nil {
		return err
	}
	_, err := kernel.Retry(func() (int, error) { return unix.Write(fd, []byte(text)) })
	return err
}

// read returns the text of one file.
func (d *dir) read(name string) (string, error) {
	fd, err := d.open(name, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return readAll(fd, true)
}

// readPath returns the text of a file of /proc.
func readPath(path string) (string, error) {
	fd, err := kernel.Retry(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return readAll(fd, false)
}

// maxText bounds what is read from the kernel: a million processes in a group
// make 8 MB.
const maxText = 64 << 20

// readAll reads to the end. The files of cgroupfs have short records and the
// kernel fills the buffer as long as one more fits, so there, when brief, half
// a buffer left means the end, and the read that would say so is saved.
func readAll(fd int, brief bool) (string, error) {
	buf := make([]byte, 0, 4096)
	for {
		n, err := kernel.Retry(func() (int, error) { return unix.Read(fd, buf[len(buf):cap(buf)]) })
		if err != nil {
			return "", err
		}
		buf = buf[:len(buf)+n]
		switch {
		case n == 0, brief && len(buf) < 2048:
			return string(buf), nil
		case len(buf) > maxText:
			return "", fault.New(fault.TooLarge, "longer than %d bytes", maxText)
		case len(buf) == cap(buf):
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

// children lists the groups below path.
func children(path string) ([]string, error) {
	var st unix.Stat_t
	if _, err := kernel.Retry(func() (int, error) { return 0, unix.Stat(path, &st) }); err != nil {
		return nil, err
	}
	if st.Nlink == 2 { // itself and "."; each child's ".." would be one more
		return nil, nil
	}
	return entries(path, func(_ string, isDir bool) bool { return isDir })
}

// entries lists what is in a directory and wanted.
func entries(path string, want func(name string, isDir bool) bool) (out []string, err error) {
	fd, err := kernel.Retry(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 8192)
	for {
		n, err := kernel.Retry(func() (int, error) { return unix.Getdents(fd, buf) })
		if err != nil || n == 0 {
			return out, err
		}
		// struct linux_dirent64: u64 inode, u64 offset, u16 length, u8 type, name
		for rest := buf[:n]; len(rest) > 19; {
			size := int(binary.NativeEndian.Uint16(rest[16:]))
			if size <= 19 || size > len(rest) {
				return out, unix.EIO
			}
			name, _, _ := strings.Cut(string(rest[19:size]), "\x00")
			if name != "." && name != ".." && want(name, rest[18] == unix.DT_DIR) {
				out = append(out, name)
			}
			rest = rest[size:]
		}
	}
}

// walk calls fn for every group below path, deepest first, then for path. A
// group that goes meanwhile is none.
func walk(path string, fn func(path string) error) error {
	names, err := children(path)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fault.Op("list", path, err)
	}
	for _, name := range names {
		if err := walk(filepath.Join(path, name), fn); err != nil {
			return err
		}
	}
	return fn(path)
}
