package layer

import (
	"archive/tar"
	"bufio"
	"errors"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/under"
)

// identity is what new files get from the kernel without being asked: our
// owner, and the mode less the umask. Where that is what the tar wants, no
// call is needed.
type identity struct {
	uid, gid int
	umask    uint32
}

func whoami() identity {
	return identity{os.Geteuid(), os.Getegid(), umask()}
}

// umask reads the process' umask without changing it for other threads. When
// it is not known every mode is set explicitly.
func umask() uint32 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0o777
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "Umask:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(v), 8, 32)
			if err != nil {
				return 0o777
			}
			return uint32(n)
		}
	}
	return 0o777
}

// exact tells that creating something with perm gives it perm.
func (w identity) exact(perm uint32) bool { return perm&w.umask == 0 }

func (w identity) chown(fd int, h *tar.Header) error {
	if h.Uid == w.uid && h.Gid == w.gid {
		return nil
	}
	return idError(unix.Fchown(fd, h.Uid, h.Gid), h)
}

func (w identity) lchown(dirfd int, base string, h *tar.Header) error {
	if h.Uid == w.uid && h.Gid == w.gid {
		return nil
	}
	return idError(unix.Fchownat(dirfd, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW), h)
}

func idError(err error, h *tar.Header) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
		return fault.New(fault.Denied, "owner %d:%d cannot be set here: %w", h.Uid, h.Gid, err)
	}
	return err
}

func checkIDs(h *tar.Header) error {
	if h.Uid < 0 || h.Gid < 0 || h.Uid > math.MaxInt32 || h.Gid > math.MaxInt32 {
		return fault.New(fault.Invalid, "owner %d:%d is out of range", h.Uid, h.Gid)
	}
	return nil
}

// dirMeta is what a directory gets at the end: its entries change its times,
// and a set-group-id bit would be inherited by them.
type dirMeta struct {
	header *tar.Header
	exact  bool // made with the right permission bits
}

func dirPerm(h *tar.Header) uint32 { return uint32(h.Mode&0o777) | 0o700 }

// later keeps h for the directory name; the last entry of a name wins.
func (a *applier) later(name string, h *tar.Header) *dirMeta {
	d := &dirMeta{header: h}
	a.dirs[name] = d
	return d
}

// finishDirs gives all directories their attributes, children before parents.
func (a *applier) finishDirs() error {
	a.tree.next()
	if err := a.tree.tidy(); err != nil {
		return err
	}
	names := make([]string, 0, len(a.dirs))
	for name := range a.dirs {
		names = append(names, name)
	}
	sort.Sort(sort.Reverse(sort.StringSlice(names)))
	for _, name := range names {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		if err := a.finishDir(name, a.dirs[name]); err != nil {
			return fault.Op("entry", quote(name), err)
		}
	}
	return nil
}

func (a *applier) finishDir(name string, d *dirMeta) error {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW
	fd, err := under.OpenAt(a.tree.root, orDot(name), flags, 0, under.InRoot|unix.RESOLVE_NO_XDEV)
	if isMissing(err) {
		return nil // a later entry took its place
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	h := d.header
	if err := a.who.chown(fd, h); err != nil {
		return err
	}
	if mode := uint32(h.Mode & 0o7777); !d.exact || mode != dirPerm(h) {
		if err := unix.Fchmod(fd, mode); err != nil {
			return err
		}
	}
	if err := setXattrs(fd, h); err != nil {
		return err
	}
	return setTimes(fd, ".", h)
}

// setTimes sets the times of base in dirfd, a link's own ones if it is one.
func setTimes(dirfd int, base string, h *tar.Header) error {
	at := h.AccessTime
	if at.IsZero() {
		at = h.ModTime
	}
	ts := []unix.Timespec{timespec(at), timespec(h.ModTime)}
	return unix.UtimesNanoAt(dirfd, base, ts, unix.AT_SYMLINK_NOFOLLOW)
}

func timespec(t time.Time) unix.Timespec {
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

const paxXattr = "SCHILY.xattr."

// setXattrs sets the extended attributes that an image may bring along.
func setXattrs(fd int, h *tar.Header) error {
	for k, v := range h.PAXRecords {
		attr, ok := strings.CutPrefix(k, paxXattr)
		if !ok || !keptXattr(attr) {
			continue
		}
		err := unix.Fsetxattr(fd, attr, []byte(v), 0)
		if errors.Is(err, unix.ENOTSUP) && strings.HasPrefix(attr, "user.") {
			continue // a file system without them; a capability must not be lost
		}
		if err != nil {
			return fault.Op("set attribute", quote(attr), err)
		}
	}
	return nil
}

// keptXattr: an image has file capabilities and its users' attributes. All
// others speak to this machine's kernel (overlay's marks, labels of security
// modules, ACLs with foreign ids) and are not for an image to set.
func keptXattr(attr string) bool {
	if attr == "security.capability" {
		return true
	}
	return strings.HasPrefix(attr, "user.") && !strings.HasPrefix(attr, "user.overlay.")
}
