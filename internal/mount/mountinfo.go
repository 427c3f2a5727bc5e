package mount

import (
	"strconv"
	"strings"
)

// Unescape undoes the octal escapes that mountinfo, proc_pid_mountinfo(5), uses
// for space, tab, newline and backslash in paths.
func Unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1]) && octal(s[i+2]) && octal(s[i+3]) && s[i+1] < '4' {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(c byte) bool { return c >= '0' && c <= '7' }

// Point is a mount, as a line of mountinfo has it:
//
//	36 31 0:33 / /proc rw,relatime shared:5 - proc proc rw
//	id parent    path                         kind
type Point struct {
	ID, Parent int
	Path, Kind string
}

// ParsePoint reads a line; false if it makes no sense.
func ParsePoint(line string) (p Point, ok bool) {
	head, tail, ok := strings.Cut(strings.TrimSpace(line), " - ")
	f := strings.Fields(head)
	if !ok || len(f) < 5 {
		return p, false
	}
	var err, perr error
	p.ID, err = strconv.Atoi(f[0])
	p.Parent, perr = strconv.Atoi(f[1])
	p.Path = Unescape(f[4])
	p.Kind, _, _ = strings.Cut(tail, " ")
	return p, err == nil && perr == nil && p.ID >= 0 && p.Parent >= 0 && p.Kind != ""
}

// Points reads all lines of a mountinfo, but for those that make no sense.
func Points(mountinfo string) (all []Point) {
	for line := range strings.Lines(mountinfo) {
		if p, ok := ParsePoint(line); ok {
			all = append(all, p)
		}
	}
	return all
}
