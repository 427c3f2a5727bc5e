package plan

import (
	"encoding/binary"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/mount"
)

// This file has the calls that several steps share.

const (
	inRoot  = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	noLinks = inRoot | unix.RESOLVE_NO_SYMLINKS
	beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS
)

// openHow encodes struct open_how of openat2(2).
func openHow(flags, mode, resolve uint64) []byte {
	b := make([]byte, 24)
	binary.NativeEndian.PutUint64(b, flags)
	binary.NativeEndian.PutUint64(b[8:], mode)
	binary.NativeEndian.PutUint64(b[16:], resolve)
	return b
}

// openat2 opens p below the directory in slot dir.
func openat2(dir Slot, p string, flags, mode, resolve uint64) Call {
	return call(unix.SYS_OPENAT2, "openat2", slot(dir), text(p),
		shaped(openHow(flags|unix.O_CLOEXEC, mode, resolve), OpenHow), num(24))
}

// word returns the n-th 64-bit word of a struct.
func word(b []byte, n int) uint64 { return binary.NativeEndian.Uint64(b[8*n:]) }

func openHowWords(how []byte) string {
	show := "{" + openFlagWords(word(how, 0))
	if mode := word(how, 1); mode != 0 {
		show += " 0" + strconv.FormatUint(mode, 8)
	}
	return show + " " + resolveWords(word(how, 2)) + "}"
}

func openFlagWords(flags uint64) string {
	words := "O_RDONLY"
	switch {
	case flags&unix.O_PATH != 0:
		words = "O_PATH"
	case flags&unix.O_WRONLY != 0:
		words = "O_WRONLY"
	case flags&unix.O_RDWR != 0:
		words = "O_RDWR"
	}
	for _, f := range []struct {
		bit  uint64
		name string
	}{
		{unix.O_CREAT, "O_CREAT"},
		{unix.O_EXCL, "O_EXCL"},
		{unix.O_DIRECTORY, "O_DIRECTORY"},
		{unix.O_NOFOLLOW, "O_NOFOLLOW"},
		{unix.O_NOCTTY, "O_NOCTTY"},
	} {
		if flags&f.bit != 0 {
			words += "|" + f.name
		}
	}
	return words
}

func resolveWords(resolve uint64) string {
	switch resolve {
	case noLinks:
		return "IN_ROOT|NO_SYMLINKS"
	case beneath:
		return "BENEATH|NO_XDEV"
	}
	return "IN_ROOT"
}

// relative is p as seen from the root, which is "".
func relative(p string) string { return strings.TrimPrefix(path.Clean("/"+p), "/") }

// jump skips n calls: the way out of a chain of alternatives.
func jump(n int) Call { return Call{Name: "skip", Into: NoSlot}.skip(n) }

// resolve appends the calls that open target below root as a path descriptor
// in slot into. What is missing is made: directories 0755, and a file when
// isDir is false. Only the last name of each prefix is made, on a descriptor
// opened just before, so a link cannot lead the making out of the root.
func resolve(cs []Call, root Slot, target string, isDir bool, how uint64, tmp, into Slot) []Call {
	rel := relative(target)
	if rel == "" {
		return append(cs, openat2(root, ".", unix.O_PATH, 0, how).into(into))
	}
	first := len(cs)
	cs = append(cs, openat2(root, rel, unix.O_PATH, 0, how).into(into).ok(unix.ENOENT))
	parent, last := root, 0
	for i := range len(rel) {
		if rel[i] != '/' {
			continue
		}
		cs = append(cs,
			openat2(root, rel[:i], unix.O_PATH|unix.O_DIRECTORY, 0, how).into(tmp).ok(unix.ENOENT).skip(2),
			mkdirat(parent, rel[last:i], 0o755).ok(unix.EEXIST),
			openat2(root, rel[:i], unix.O_PATH|unix.O_DIRECTORY, 0, how).into(tmp))
		parent, last = tmp, i+1
	}
	if isDir {
		cs = append(cs, mkdirat(parent, rel[last:], 0o755).ok(unix.EEXIST))
	} else {
		cs = append(cs, mknodat(parent, rel[last:], unix.S_IFREG|0o644, 0).ok(unix.EEXIST))
	}
	cs = append(cs, openat2(root, rel, unix.O_PATH, 0, how).into(into))
	cs[first] = cs[first].skip(len(cs) - first - 1)
	return cs
}

func mkdirat(dir Slot, name string, mode uint64) Call {
	return call(unix.SYS_MKDIRAT, "mkdirat", slot(dir), text(name), octal(mode))
}

func mknodat(dir Slot, name string, mode, dev uint64) Call {
	return call(unix.SYS_MKNODAT, "mknodat", slot(dir), text(name), octal(mode), Arg{N: dev, Form: Device})
}

func devWords(dev uint64) string {
	if dev == 0 {
		return "0"
	}
	return "dev " + strconv.FormatUint(uint64(unix.Major(dev)), 10) + ":" + strconv.FormatUint(uint64(unix.Minor(dev)), 10)
}

// attach moves the detached tree in slot from onto the path in slot to.
func attach(from, to Slot) Call {
	const f = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	return call(unix.SYS_MOVE_MOUNT, "move_mount", slot(from), text(""), slot(to), text(""), flags(f, "F_EMPTY|T_EMPTY"))
}

// cloneTree makes a detached copy of the tree at slot dir + path.
func cloneTree(dir Arg, p string, recursive bool, into Slot) Call {
	f, show := uint64(unix.OPEN_TREE_CLONE|unix.O_CLOEXEC), "CLONE"
	if recursive {
		f |= unix.AT_RECURSIVE
		show += "|RECURSIVE"
	}
	if p == "" {
		f |= unix.AT_EMPTY_PATH
		show += "|EMPTY_PATH"
	}
	return call(unix.SYS_OPEN_TREE, "open_tree", dir, text(p), flags(f, show)).into(into)
}

// setattr changes the attributes or the propagation of a tree by descriptor.
func setattr(s Slot, recursive bool, set, clr, propagation uint64) Call {
	b := make([]byte, 32)
	binary.NativeEndian.PutUint64(b, set)
	binary.NativeEndian.PutUint64(b[8:], clr)
	binary.NativeEndian.PutUint64(b[16:], propagation)
	f, show := uint64(unix.AT_EMPTY_PATH), "EMPTY_PATH"
	if recursive {
		f |= unix.AT_RECURSIVE
		show += "|RECURSIVE"
	}
	return call(unix.SYS_MOUNT_SETATTR, "mount_setattr", slot(s), text(""), flags(f, show),
		shaped(b, AttrHow), num(32))
}

func attrHowWords(b []byte) string {
	set, clr, propagation := word(b, 0), word(b, 1), word(b, 2)
	var words []string
	if set != 0 {
		words = append(words, "+"+mount.AttrWords(set))
	}
	if clr &^= set; clr != 0 {
		words = append(words, "-"+mount.AttrWords(clr))
	}
	if propagation != 0 {
		words = append(words, propagationWord(propagation))
	}
	return "{" + strings.Join(words, " ") + "}"
}

func propagationWord(p uint64) string {
	switch p &^ (unix.MS_REC | unix.MS_SILENT) {
	case unix.MS_SHARED:
		return "shared"
	case unix.MS_SLAVE:
		return "slave"
	case unix.MS_UNBINDABLE:
		return "unbindable"
	}
	return "private"
}

// newMount appends what makes a file system of its own, detached, in slot into.
func newMount(cs []Call, m NewMount) []Call {
	cs = append(cs, call(unix.SYS_FSOPEN, "fsopen", text(m.FS), flags(unix.FSOPEN_CLOEXEC, "CLOEXEC")).into(m.Work))
	if m.Source != "" {
		cs = append(cs, fsconfig(m.Work, "source", m.Source, true))
	}
	for _, o := range m.Data {
		key, value, isString := strings.Cut(o, "=")
		cs = append(cs, fsconfig(m.Work, key, value, isString))
	}
	return append(cs,
		call(unix.SYS_FSCONFIG, "fsconfig", slot(m.Work), flags(unix.FSCONFIG_CMD_CREATE, "CMD_CREATE"), null(), null(), num(0)),
		call(unix.SYS_FSMOUNT, "fsmount", slot(m.Work), flags(unix.FSMOUNT_CLOEXEC, "CLOEXEC"),
			Arg{N: m.Attr, Form: Attr}).into(m.Into))
}

func fsconfig(fs Slot, key, value string, isString bool) Call {
	if !isString {
		return call(unix.SYS_FSCONFIG, "fsconfig", slot(fs), flags(unix.FSCONFIG_SET_FLAG, "SET_FLAG"), text(key), null(), num(0))
	}
	return call(unix.SYS_FSCONFIG, "fsconfig", slot(fs), flags(unix.FSCONFIG_SET_STRING, "SET_STRING"), text(key), text(value), num(0))
}

// writeFile appends what opens p below dir and writes data in one piece.
func writeFile(cs []Call, dir Slot, p string, data string, how uint64, tmp Slot) []Call {
	return append(cs, openat2(dir, p, unix.O_WRONLY, 0, how).into(tmp), write(tmp, data))
}

func write(s Slot, data string) Call {
	return call(unix.SYS_WRITE, "write", slot(s), quoted(data), num(uint64(len(data)))).must(int64(len(data)))
}

func prctl(name string, option uint64, args ...Arg) Call {
	c := call(unix.SYS_PRCTL, "prctl", flags(option, name))
	c.n += uint8(copy(c.args[1:], args))
	return c
}

// wait appends one byte to the parent and one back.
func wait(cs []Call, p Point) []Call {
	return append(cs,
		call(unix.SYS_WRITE, "write", slot(Sync), blob([]byte{byte(p)}, p.String()), num(1)).must(1),
		call(unix.SYS_READ, "read", slot(Sync), blob(make([]byte, 1), "buf"), num(1)).must(1))
}
