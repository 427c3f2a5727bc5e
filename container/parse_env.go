package container

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/berth-engine/berth/internal/fault"
)

// Bounds of an env file, in bytes. The kernel takes 128 KiB a string.
const (
	maxEnvLine = 256 << 10
	maxEnvFile = 8 << 20
)

// ParseEnv reads one -e. "K" alone takes the client's value from lookup, and
// stays "K" when the client has none: that unsets what the image sets.
func ParseEnv(s string, lookup func(string) (string, bool)) (string, error) {
	key, _, ok := strings.Cut(s, "=")
	if key == "" {
		return "", invalid("invalid environment variable: %s", printable(s))
	}
	if err := checkNUL(s); err != nil || ok {
		return s, err
	}
	if v, ok := lookup(key); ok {
		return key + "=" + v, nil
	}
	return key, nil
}

// ParseEnvFile reads the lines of an --env-file: K=V as it stands, no quotes;
// K alone takes the client's value from lookup or is dropped; # begins a
// comment at the start of a line only.
func ParseEnvFile(r io.Reader, lookup func(string) (string, bool)) ([]string, error) {
	limited := &io.LimitedReader{R: r, N: maxEnvFile + 1}
	sc := bufio.NewScanner(limited)
	sc.Buffer(nil, maxEnvLine)
	var out []string
	for n := 1; sc.Scan(); n++ {
		line := sc.Bytes()
		if !utf8.Valid(line) {
			return nil, invalid("invalid utf8 bytes at line %d: %v", n, line[:min(len(line), 64)])
		}
		text := string(line)
		if n == 1 {
			text = strings.TrimPrefix(text, "\uFEFF")
		}
		kv, err := envLine(strings.TrimLeftFunc(text, unicode.IsSpace), lookup)
		if err != nil {
			return nil, err
		}
		if kv != "" {
			out = append(out, kv)
		}
	}
	switch err := sc.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fault.New(fault.TooLarge, "a line is longer than %d bytes", maxEnvLine)
	case err != nil:
		return nil, err
	case limited.N <= 0:
		return nil, fault.New(fault.TooLarge, "larger than %d bytes", maxEnvFile)
	}
	return out, nil
}

// envLine returns "" for a line that sets nothing.
func envLine(line string, lookup func(string) (string, bool)) (string, error) {
	if line == "" || line[0] == '#' {
		return "", nil
	}
	key, _, hasVal := strings.Cut(line, "=")
	if strings.ContainsFunc(key, unicode.IsSpace) {
		return "", invalid("variable '%s' contains whitespaces", printable(key))
	}
	if key == "" {
		return "", invalid("no variable name on line '%s'", printable(line))
	}
	if err := checkNUL(line); err != nil || hasVal {
		return line, err
	}
	if v, ok := lookup(key); ok {
		return key + "=" + v, nil
	}
	return "", nil
}
