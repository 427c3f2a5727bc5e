package container

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// maxProfile bounds a seccomp profile, in bytes.
const maxProfile = 1 << 20

// ParseSecurityOpt reads one --security-opt into s. Whatever is not known is
// refused, empty values too. Besides key=value docker's old key:value is read.
// readFile gets the path of a seccomp profile: its text is stored, not its name.
func ParseSecurityOpt(s *Security, opt string, readFile func(path string) ([]byte, error)) error {
	bad := invalid("Invalid --security-opt: %q", printable(opt))
	key, val, ok := strings.Cut(opt, "=")
	if !ok {
		key, val, ok = strings.Cut(opt, ":")
	}
	if !ok && key == "no-new-privileges" {
		s.NoNewPrivileges = true
		return nil
	}
	if !ok || val == "" || strings.ContainsAny(val, "\x00\r\n") {
		return bad
	}
	switch key {
	case "no-new-privileges":
		return parseBool(opt, val, &s.NoNewPrivileges)
	case "writable-cgroups":
		return parseBool(opt, val, &s.WritableCgroups)
	case "systempaths":
		if val != "unconfined" {
			return bad
		}
		s.SystemPathsHidden = new(bool)
	case "apparmor":
		s.AppArmor = val
	case "label":
		return s.addLabel(opt, val)
	case "seccomp":
		return s.readSeccomp(val, readFile)
	default:
		return bad
	}
	return nil
}

func parseBool(opt, val string, to *bool) error {
	b, err := strconv.ParseBool(val)
	if err != nil {
		return invalid("Invalid --security-opt: %q: want true or false", printable(opt))
	}
	*to = b
	return nil
}

func (s *Security) addLabel(opt, val string) error {
	key, v, _ := strings.Cut(val, ":")
	switch key {
	case "user", "role", "type", "level":
		if v == "" {
			return invalid("Invalid --security-opt: %q", printable(opt))
		}
	case "disable":
		if val != "disable" {
			return invalid("Invalid --security-opt: %q", printable(opt))
		}
	default:
		return invalid("bad label option %q, valid options 'disable' or 'user, role, level, type' followed by ':' and a value", printable(val))
	}
	s.Label = append(s.Label, val)
	return nil
}

func (s *Security) readSeccomp(val string, readFile func(string) ([]byte, error)) error {
	switch val {
	case "unconfined":
		s.Seccomp = val
		return nil
	case "builtin":
		s.Seccomp = ""
		return nil
	}
	data, err := readFile(val)
	if err != nil {
		return invalid("opening seccomp profile (%s) failed: %w", printable(val), err)
	}
	if len(data) > maxProfile {
		return invalid("seccomp profile (%s) is larger than %d bytes", printable(val), maxProfile)
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, data); err != nil {
		return invalid("compacting json for seccomp profile (%s) failed: %w", printable(val), err)
	}
	if !bytes.HasPrefix(buf.Bytes(), []byte("{")) {
		return invalid("seccomp profile (%s) is not a JSON object", printable(val))
	}
	s.Seccomp = buf.String()
	return nil
}
