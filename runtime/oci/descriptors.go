package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
)

// descriptorsFile is in the directory of the images, as runc has it: a JSON
// list of what the standard streams were, for a restore to put others in their
// place. What an entry can be:
//
//	pipe:[INODE]         a pipe, which CRIU finds by that name
//	file[MOUNT:INODE]    a file of the machine's, by what CRIU calls it
//	tty[RDEV:DEV]        a terminal of the machine's, likewise
//	null[MOUNT:INODE]    the machine's /dev/null: it stays one
//	anything else        is the container's own, and CRIU restores it
const descriptorsFile = "descriptors.json"

const maxDescriptors = 64 << 10

// parseDescriptors reads such a list, which is content of an image like any.
func parseDescriptors(data []byte) (names []string, err error) {
	if len(data) > maxDescriptors || jsontext.Depth(data) > 2 {
		return nil, fault.New(fault.Damaged, "%s: too long, or too deep", descriptorsFile)
	}
	if err := json.Unmarshal(data, &names); err != nil {
		return nil, fault.New(fault.Damaged, "%s: %w", descriptorsFile, err)
	}
	if len(names) > 3 {
		return nil, fault.New(fault.Damaged, "%s: %d standard streams", descriptorsFile, len(names))
	}
	return names, nil
}

// streamKey is CRIU's name for a standard stream that is not the container's
// own; "" for others.
func streamKey(name string) string {
	if strings.HasPrefix(name, "null[") {
		name = "file" + strings.TrimPrefix(name, "null")
	}
	for _, kind := range []string{"pipe:[", "file[", "tty["} {
		if strings.HasPrefix(name, kind) && strings.HasSuffix(name, "]") && len(name) < 100 {
			return name
		}
	}
	return ""
}

// externalStreams are the keys that CRIU must be told of when it dumps: it
// finds pipes by itself.
func externalStreams(names []string) (keys []string) {
	for _, name := range names {
		if key := streamKey(name); key != "" && !strings.HasPrefix(key, "pipe:") {
			keys = append(keys, key)
		}
	}
	return keys
}

// steadyTries is how often the streams are looked at before they are taken as
// they are, half a millisecond apart; steadyLooks is how often in a row one has
// to be the container's own, and nothing kept, until that is believed.
const (
	steadyTries = 400
	steadyLooks = 8
)

// steadyStreams is streamsOf when nothing is redirected. A shell that runs
// `echo x >file` has its standard output under a number of its own for that
// long, and some do little else. One look that finds the machine's file in its
// place is enough; that there is none takes several, since a look at the
// streams and one at the rest are never of the same moment.
func steadyStreams(pid int, inside func(mountID int) bool) (names []string, err error) {
	calm := 0
	for range steadyTries {
		look, err := streamsOf(pid, inside)
		if err != nil {
			return nil, err
		}
		names = machines(names, look)
		if !slices.ContainsFunc(names, isOwn) {
			break
		}
		calm++
		if mayKeepStream(pid, inside) {
			calm = 0
		}
		if calm == steadyLooks {
			break
		}
		time.Sleep(time.Millisecond / 2)
	}
	return names, nil
}

// machines are the streams of the latest look; one that was the machine's in a
// look before still is, and redirected now.
func machines(before, look []string) []string {
	for i, name := range before {
		if isOwn(look[i]) && !isOwn(name) {
			look[i] = name
		}
	}
	return look
}

func isOwn(name string) bool { return streamKey(name) == "" }

// mayKeepStream says whether a process has something open, beside its standard
// streams, that one of them could have been.
func mayKeepStream(pid int, inside func(mountID int) bool) bool {
	dir := fmt.Sprintf("/proc/%d/", pid)
	fds, err := os.ReadDir(dir + "fd")
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if n, err := strconv.Atoi(fd.Name()); err != nil || n <= 2 {
			continue
		}
		name, err := streamOf(dir+"fd/"+fd.Name(), dir+"fdinfo/"+fd.Name(), inside)
		if err == nil && !isOwn(name) {
			return true
		}
	}
	return false
}

// streamsOf names the standard streams of a process; inside says whether a
// mount is one of its own.
func streamsOf(pid int, inside func(mountID int) bool) ([]string, error) {
	names := make([]string, 3)
	for fd := range names {
		name, err := streamOf(fmt.Sprintf("/proc/%d/fd/%d", pid, fd), fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd), inside)
		if err != nil {
			return nil, err
		}
		names[fd] = name
	}
	return names, nil
}

// streamOf is "" for what is closed, or is closed meanwhile.
func streamOf(link, info string, inside func(int) bool) (string, error) {
	name, err := nameStream(link, info, inside)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return name, err
}

// nameStream begins again when the descriptor has become another file's between
// two of its looks.
func nameStream(link, info string, inside func(int) bool) (string, error) {
	path, err := os.Readlink(link)
	for range steadyTries {
		if err != nil {
			return "", err
		}
		before := path
		name, nerr := nameOpen(before, link, info, inside)
		if path, err = os.Readlink(link); path == before {
			return name, nerr
		}
	}
	return "", fault.New(fault.Conflict, "%s is another file at every look", link)
}

// nameOpen names what path is open at link.
func nameOpen(path, link, info string, inside func(int) bool) (string, error) {
	if strings.HasPrefix(path, "pipe:") {
		return path, nil
	}
	id, err := mountID(info)
	if err != nil || inside(id) {
		return path, err
	}
	var st unix.Stat_t
	if err := unix.Stat(link, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: link, Err: err}
	}
	return foreignStream(path, id, &st), nil
}

// foreignStream names a file that is on no mount of the container's.
func foreignStream(name string, mountID int, st *unix.Stat_t) string {
	const pts, ptsEnd, ttys, aux = 136, 143, 4, 5
	device := st.Mode&unix.S_IFMT == unix.S_IFCHR
	major := unix.Major(uint64(st.Rdev))
	switch {
	case device && st.Rdev == unix.Mkdev(1, 3):
		return fmt.Sprintf("null[%x:%x]", mountID, st.Ino)
	case device && (major >= pts && major <= ptsEnd || major == ttys || major == aux):
		return fmt.Sprintf("tty[%x:%x]", st.Rdev, st.Dev)
	case device, st.Mode&unix.S_IFMT == unix.S_IFREG, st.Mode&unix.S_IFMT == unix.S_IFIFO:
		return fmt.Sprintf("file[%x:%x]", mountID, st.Ino)
	}
	return name // a socket: CRIU says what it thinks of it
}

// mountID reads it from a file of fdinfo.
func mountID(info string) (int, error) {
	text, err := os.ReadFile(info)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			return strconv.Atoi(strings.TrimSpace(rest))
		}
	}
	return 0, fault.New(fault.Unsupported, "%s has no mnt_id", info)
}

func writeDescriptors(dir string, names []string) error {
	data, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return disk.Write(filepath.Join(dir, descriptorsFile), data, 0o600)
}
