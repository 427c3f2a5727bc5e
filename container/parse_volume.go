package container

import (
	"strings"
)

// ParseVolume reads one -v: [source:]target[:options]. An absolute source, or
// one that begins with ".", is a directory of the host, made if it is missing;
// any other is the name of a volume; none is an anonymous volume.
func ParseVolume(s, cwd string) (Mount, error) {
	if s == "" {
		return Mount{}, invalid("invalid empty volume spec")
	}
	parts := strings.Split(s, ":")
	for _, p := range parts {
		if p == "" {
			return Mount{}, invalid("invalid spec: %s: empty section between colons", printable(s))
		}
	}
	m := Mount{Type: "volume"}
	mode := ""
	switch len(parts) {
	case 1:
		m.Target = parts[0]
	case 2:
		m.Source, m.Target = parts[0], parts[1]
	case 3:
		m.Source, m.Target, mode = parts[0], parts[1], parts[2]
	default:
		return Mount{}, invalid("invalid volume specification: '%s'", printable(s))
	}
	if err := m.volumeSource(cwd); err != nil {
		return Mount{}, err
	}
	if err := cleanTarget(&m); err != nil {
		return Mount{}, invalid("invalid volume specification: '%s': %w", printable(s), err)
	}
	if err := m.volumeMode(mode); err != nil {
		return Mount{}, err
	}
	return m, checkNUL(s)
}

func (m *Mount) volumeSource(cwd string) error {
	switch {
	case m.Source == "":
		return nil
	case strings.HasPrefix(m.Source, "/"), strings.HasPrefix(m.Source, "."):
		src, err := hostPath(m.Source, cwd)
		m.Type, m.Source, m.MakeSource = "bind", src, true
		return err
	case !validName(m.Source):
		return invalid("%q includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path", printable(m.Source))
	}
	return nil
}

// volumeMode reads the words after the second colon, each kind at most once.
func (m *Mount) volumeMode(mode string) error {
	if mode == "" {
		return nil
	}
	seen := map[string]bool{}
	for _, w := range strings.Split(mode, ",") {
		kind := w
		switch w {
		case "ro", "rw":
			kind, m.ReadOnly = "access", w == "ro"
		case "z", "Z":
			kind, m.Relabel = "label", w
		case "cached", "delegated", "consistent":
			kind = "consistency" // hints for other machines than ours
		case "nocopy", "volume-nocopy":
			if m.Type != "volume" {
				return invalid("invalid mode: %s", printable(mode))
			}
			kind, m.NoCopy = "copy", true
		default:
			if !isPropagation(w) || m.Type != "bind" {
				return invalid("invalid mode: %s", printable(mode))
			}
			kind, m.Propagation = "propagation", w
		}
		if seen[kind] {
			return invalid("invalid mode: %s", printable(mode))
		}
		seen[kind] = true
	}
	return nil
}
