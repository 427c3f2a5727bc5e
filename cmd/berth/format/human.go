package format

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/docker/go-units"
)

// Ago is a time as ps and images say it: "3 minutes ago".
func Ago(t, now time.Time) string {
	if t.IsZero() || t.Unix() <= 0 {
		return "N/A"
	}
	return units.HumanDuration(now.Sub(t)) + " ago"
}

// Duration is a span in docker's words: "About a minute".
func Duration(d time.Duration) string { return units.HumanDuration(max(d, 0)) }

// Size is a number of bytes with four digits and a decimal unit: "78.1MB".
func Size(n int64) string { return units.HumanSizeWithPrecision(float64(n), 3) }

// Ellipsis cuts s to n runes, the last being "…".
func Ellipsis(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	if n <= 1 {
		return string([]rune(s)[:n])
	}
	return string([]rune(s)[:n-1]) + "…"
}

// Command is a COMMAND column: quoted, cut to 20 runes unless full. Arguments
// with spaces stand in quotes, as docker has them.
func Command(path string, args []string, full bool) string {
	s := path
	for _, arg := range args {
		if strings.Contains(arg, " ") {
			arg = "'" + arg + "'"
		}
		s += " " + arg
	}
	if !full {
		s = Ellipsis(s, 20)
	}
	return strconv.Quote(s)
}

// ShortID is the first twelve digits of an id, without its algorithm.
func ShortID(id string) string {
	if _, hex, ok := strings.Cut(id, ":"); ok {
		id = hex
	}
	return id[:min(12, len(id))]
}
