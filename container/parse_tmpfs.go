package container

import (
	"strconv"
	"strings"
)

// ParseTmpfs reads one --tmpfs: target[:options], options as in mount(8).
func ParseTmpfs(s string) (Mount, error) {
	target, options, ok := strings.Cut(s, ":")
	m := Mount{Type: "tmpfs", Target: target}
	if err := cleanTarget(&m); err != nil {
		return Mount{}, err
	}
	if ok && options != "" {
		m.Options = strings.Split(options, ",")
	}
	if err := CheckTmpfsOptions(m.Options); err != nil {
		return Mount{}, err
	}
	return m, checkNUL(s)
}

// CheckTmpfsOptions refuses words that are not plain attributes or sizes of a
// tmpfs.
func CheckTmpfsOptions(options []string) error {
	for _, o := range options {
		if !tmpfsOption(o) {
			return invalid("invalid tmpfs option %q", printable(o))
		}
	}
	return nil
}

func tmpfsOption(o string) bool {
	key, val, hasVal := strings.Cut(o, "=")
	if !hasVal {
		switch key {
		case "ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "sync", "async", "dirsync",
			"atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime":
			return true
		}
		return false
	}
	switch key {
	case "size":
		return blocks(strings.TrimSuffix(val, "%"))
	case "nr_blocks", "nr_inodes":
		return blocks(val)
	case "mode":
		_, err := strconv.ParseUint(val, 8, 12)
		return err == nil
	case "uid", "gid":
		_, err := strconv.ParseUint(val, 10, 31)
		return err == nil
	}
	return false
}

// blocks is a number with one of the kernel's suffixes.
func blocks(s string) bool {
	_, err := strconv.ParseUint(strings.TrimRight(s, "kKmMgG"), 10, 63)
	return err == nil && len(s)-len(strings.TrimRight(s, "kKmMgG")) <= 1
}
