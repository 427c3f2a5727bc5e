// Package gotest has the form in which go test tells what happens, for the
// programs that read it: test/report, and test/vm from its guests.
package gotest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
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

// Read hands on the events that it reads, and to other the lines that are none,
// with which go test speaks itself. An error of other ends it.
func Read(in io.Reader, take func(Event), other func(line string) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e Event
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			take(e)
		} else if err := other(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// Strange is for Read where there are only events.
func Strange(line string) error { return fmt.Errorf("go test -json says %q", line) }

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
