// Package gotest has the form in which go test tells what happens, for the
// programs that read it: test/report, and test/vm from its guests.
package gotest

import (
	"regexp"
	"slices"
	"strings"
)

// Event is a line of go test -json; see go doc test2json.
type Event struct {
	Action  string // "output", and at the end "pass", "fail" or "skip"
	Package string
	Test    string // empty for the package itself
	Output  string
	Elapsed float64 // seconds
}

// place is what testing writes before a message: file_test.go:12:
var place = regexp.MustCompile(`^\s+\S+\.go:\d+: `)

// NoReason is the Reason of a test that does not say.
const NoReason = "no reason given"

// Reason is what a test said when it skipped itself, from the lines of its
// output.
func Reason(output []string) string {
	for _, line := range slices.Backward(output) {
		if at := place.FindString(line); at != "" {
			return strings.TrimSpace(line[len(at):])
		}
	}
	return NoReason
}
