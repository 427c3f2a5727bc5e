package container

import (
	"encoding/hex"
	"strings"

	"github.com/berth-engine/berth/internal/kernel"

	"github.com/berth-engine/berth/internal/fault"
)

// IDLen is the length of a full id in hex digits; ShortLen what people see
// and what a container's host name is made of.
const (
	IDLen    = 64
	ShortLen = 12
)

// maxName keeps a name fit for a directory entry and a host name list.
const maxName = 128

// NewID returns a fresh id. Its first ShortLen digits are never all decimal:
// they become a host name, and some resolvers take such a name for an address.
func NewID() string {
	var b [IDLen / 2]byte
	for {
		kernel.Random(b[:])
		id := hex.EncodeToString(b[:])
		if strings.ContainsAny(id[:ShortLen], "abcdef") {
			return id
		}
	}
}

// ValidID reports whether id has the form of a full id. Nothing else ever
// becomes a path below containers/.
func ValidID(id string) bool { return len(id) == IDLen && isHex(id) }

// CheckName refuses what cannot be a container's name.
func CheckName(name string) error {
	if len(name) <= maxName && validName(name) {
		return nil
	}
	return fault.New(fault.Invalid, "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, 2 to %d characters", printable(name), maxName)
}

// validName is [a-zA-Z0-9][a-zA-Z0-9_.-]+ without a regular expression.
func validName(s string) bool {
	if len(s) < 2 || !isAlnum(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

// printable cuts foreign text for an error message: bounded, on one line.
func printable(s string) string {
	const most = 200
	cut := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return '?'
		}
		return r
	}, s[:min(len(s), most)])
	if len(s) > most {
		cut += "…"
	}
	return cut
}
