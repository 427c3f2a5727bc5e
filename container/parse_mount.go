package container

import (
	"encoding/csv"
	"path"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

func invalid(format string, args ...any) error { return fault.New(fault.Invalid, format, args...) }

// ParseMountFlag reads one --mount, a line of comma-separated values:
//
//	type=bind,source=/srv,target=/srv,readonly,bind-propagation=rslave
//
// A source that begins with "." is taken from cwd; with an empty cwd it is
// refused.
func ParseMountFlag(s, cwd string) (Mount, error) {
	if strings.TrimSpace(s) == "" {
		return Mount{}, invalid("value is empty")
	}
	r := csv.NewReader(strings.NewReader(s))
	fields, err := r.Read()
	if err != nil {
		return Mount{}, fault.As(fault.Invalid, err)
	}
	if r.InputOffset() < int64(len(s)) {
		return Mount{}, invalid("invalid mount %q: more than one line", printable(s))
	}
	m := mountFlag{Mount: Mount{Type: "volume"}, used: map[string]bool{}}
	for _, f := range fields {
		if err := m.field(f); err != nil {
			return Mount{}, err
		}
	}
	return m.done(cwd)
}

// mountFlag is a --mount half read. used has the kinds of options that were
// given: bind, volume, tmpfs.
type mountFlag struct {
	Mount
	used map[string]bool
}

func (m *mountFlag) field(f string) error {
	key, val, hasVal := strings.Cut(f, "=")
	key = strings.ToLower(key)
	if !hasVal {
		switch key {
		case "readonly", "ro", "volume-nocopy", "bind-nonrecursive":
			val = "true"
		default:
			return invalid("invalid field '%s' must be a key=value pair", f)
		}
	}
	if kind, _, ok := strings.Cut(key, "-"); ok {
		m.used[kind] = true
	}
	bad := invalid("invalid value for %s: %s", key, val)
	var err error
	switch key {
	case "type":
		m.Type = strings.ToLower(val)
	case "source", "src":
		m.Source = val
	case "target", "dst", "destination":
		m.Target = val
	case "readonly", "ro":
		m.ReadOnly, err = strconv.ParseBool(val)
	case "consistency": // a hint for other machines than ours
	case "bind-propagation":
		m.Propagation = val
		if !isPropagation(val) {
			return bad
		}
	case "bind-nonrecursive":
		var on bool
		if on, err = strconv.ParseBool(val); on {
			m.Recursive = "disabled"
		}
	case "bind-recursive":
		m.Recursive = val
		if val != "enabled" && val != "disabled" && val != "writable" && val != "readonly" {
			return invalid("invalid value for %s: %s (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")", key, val)
		}
	case "volume-nocopy":
		m.NoCopy, err = strconv.ParseBool(val)
	case "volume-subpath", "volume-label", "volume-driver", "volume-opt", "image-subpath":
		return fault.New(fault.Unsupported, "option '%s' is not in this build", key)
	case "tmpfs-size":
		m.Size, err = ParseSize(val)
	case "tmpfs-mode":
		var mode uint64
		mode, err = strconv.ParseUint(val, 8, 12) // permissions with suid, sgid, sticky
		m.Mode = uint32(mode)
	default:
		return invalid("unexpected key '%s' in '%s'", key, f)
	}
	if err != nil {
		return bad
	}
	return nil
}

func isPropagation(s string) bool {
	switch s {
	case "private", "rprivate", "shared", "rshared", "slave", "rslave":
		return true
	}
	return false
}

// done checks what only the whole flag shows.
func (m *mountFlag) done(cwd string) (Mount, error) {
	for _, kind := range []string{"volume", "bind", "tmpfs"} {
		if m.used[kind] && m.Type != kind {
			return Mount{}, invalid("cannot mix '%s-*' options with mount type '%s'", kind, m.Type)
		}
	}
	switch {
	case m.Type == "":
		return Mount{}, invalid("type is required")
	case m.Type != "bind" && m.Type != "tmpfs" && m.Type != "volume":
		return Mount{}, invalid("mount type unknown: %q", printable(m.Type))
	case m.Target == "":
		return Mount{}, invalid("target is required")
	case m.Recursive == "writable" && !m.ReadOnly:
		return Mount{}, invalid("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction")
	case m.Recursive == "readonly" && !m.ReadOnly:
		return Mount{}, invalid("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
	case m.Recursive == "readonly" && m.Propagation != "rprivate":
		return Mount{}, invalid("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction")
	case m.Type == "bind" && m.Source == "":
		return Mount{}, invalid("invalid mount config for type \"bind\": field Source must not be empty")
	case m.Type == "tmpfs" && m.Source != "":
		return Mount{}, invalid("invalid mount config for type \"tmpfs\": field Source must not be specified")
	}
	if m.Type == "bind" {
		src, err := hostPath(m.Source, cwd)
		if err != nil {
			return Mount{}, invalid("invalid mount config for type \"bind\": %w", err)
		}
		m.Source = src
	}
	if err := cleanTarget(&m.Mount); err != nil {
		return Mount{}, invalid("invalid mount config for type %q: %w", m.Type, err)
	}
	return m.Mount, checkNUL(m.Source + m.Target)
}

// hostPath makes a path of the user's absolute; only one that begins with "."
// is relative, everything else would be a name.
func hostPath(p, cwd string) (string, error) {
	switch {
	case path.IsAbs(p):
		return path.Clean(p), nil
	case strings.HasPrefix(p, ".") && path.IsAbs(cwd):
		return path.Join(cwd, p), nil
	}
	return "", invalid("invalid mount path: '%s' mount path must be absolute", printable(p))
}

func cleanTarget(m *Mount) error {
	if !path.IsAbs(m.Target) {
		return invalid("invalid mount path: '%s' mount path must be absolute", printable(m.Target))
	}
	if m.Target = path.Clean(m.Target); m.Target == "/" {
		return invalid("invalid specification: destination can't be '/'")
	}
	return nil
}

func checkNUL(s string) error {
	if strings.Contains(s, "\x00") {
		return invalid("NUL byte in %q", printable(s))
	}
	return nil
}
