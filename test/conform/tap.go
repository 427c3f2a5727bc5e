package main

import (
	"strings"
)

// result is what one program says of one runtime.
type result struct {
	ok, failed, skipped int
	first               string // the first point that failed
	broken              string // why the program did not come to its end
}

// passed: nothing failed. A program without points speaks by its exit status.
func (r result) passed() bool { return r.failed == 0 && r.broken == "" }

// parseTAP counts the points of a test in the Test Anything Protocol
// (testanything.org). Points that are to be done or skipped do not count.
func parseTAP(text string) result {
	var r result
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		point, bad := strings.CutPrefix(line, "not ok")
		if !bad {
			var good bool
			if point, good = strings.CutPrefix(line, "ok"); !good {
				continue
			}
		}
		upper := strings.ToUpper(point)
		switch {
		case strings.Contains(upper, "# SKIP"), strings.Contains(upper, "# TODO"):
			r.skipped++
		case bad:
			if r.failed++; r.first == "" {
				r.first = words(point)
			}
		default:
			r.ok++
		}
	}
	return r
}

// words is a point's description without its number.
func words(point string) string {
	point = strings.TrimLeft(point, " 0123456789")
	return strings.TrimSpace(strings.TrimPrefix(point, "-"))
}
