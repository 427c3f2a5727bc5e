package criu

import (
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds of what an error quotes.
const (
	maxTail   = 64 << 10 // of a log
	maxQuoted = 3        // lines
	maxLine   = 300      // bytes
)

// quote is the last errors of a text that CRIU wrote, in one line; "" without.
// A line of it has a time, a process, "Error", where in its source, and what.
// That no page server is there it says without the middle of these.
func quote(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		_, rest, found := strings.Cut(line, "Error (")
		_, what, ok := strings.Cut(rest, "): ")
		if !found {
			_, what, ok = strings.Cut(line, ") Can't ")
			what = "Can't " + what
		}
		if ok {
			lines = append(lines, clip(what))
		}
	}
	return strings.Join(lines[max(0, len(lines)-maxQuoted):], "; ")
}

// clip makes a text one short line that a terminal can show.
func clip(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxLine {
		s = s[:maxLine] + "..."
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
}

// tail reads the end of a log. What is no regular file has none.
func tail(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	text, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-maxTail), maxTail))
	if err != nil {
		return ""
	}
	return string(text)
}
