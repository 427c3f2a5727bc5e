package vm

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/berth-engine/berth/test/gotest"
)

// result is a test that ran elsewhere, with the tests below it. The one of a
// whole package has no name.
type result struct {
	name    string // in full: TestX/case
	action  string // pass, fail, skip; empty if it did not come to an end
	elapsed float64
	output  []string
	below   []*result
}

// decode makes the results of one test binary from what it printed under
// -test.v=test2json.
func decode(t *testing.T, output []byte) *result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "tool", "test2json", "-t")
	cmd.Stdin = bytes.NewReader(output)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	events, err := cmd.Output()
	if err != nil {
		t.Fatalf("go tool test2json: %v\n%s", err, &stderr)
	}
	r, err := gather(events)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// gather makes the tree of results from lines of test2json.
func gather(events []byte) (*result, error) {
	top := &result{}
	all := map[string]*result{"": top}
	err := gotest.Read(bytes.NewReader(events), func(e gotest.Event) {
		r := all[e.Test]
		if r == nil {
			r = &result{name: e.Test}
			all[e.Test] = r
			above := parent(all, e.Test)
			above.below = append(above.below, r)
		}
		switch e.Action {
		case "output":
			if !strings.HasPrefix(e.Output, "=== ") {
				r.output = append(r.output, e.Output)
			}
		case "pass", "fail", "skip":
			r.action, r.elapsed = e.Action, e.Elapsed
		}
	}, gotest.Strange)
	return top, err
}

// parent is the test that the named one is part of. A slash may be part of the
// last name, so the longest that exists counts.
func parent(all map[string]*result, name string) *result {
	for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
		if r := all[name[:i]]; r != nil {
			return r
		}
	}
	return all[""]
}

// replay reports a result and all below it as t's.
func (r *result) replay(t *testing.T) {
	r.replayBelow(t)
	text := strings.TrimRight(strings.Join(r.output, ""), "\n")
	switch r.action {
	case "pass":
		t.Logf("%.2f s in the guest\n%s", r.elapsed, text)
	case "skip":
		t.Skip(gotest.Reason(r.output))
	case "fail":
		t.Errorf("failed in the guest:\n%s", text)
	default:
		t.Errorf("did not come to an end in the guest:\n%s", text)
	}
}

func (r *result) replayBelow(t *testing.T) {
	for _, b := range r.below {
		t.Run(strings.TrimPrefix(strings.TrimPrefix(b.name, r.name), "/"), b.replay)
	}
}

// find returns the result of that name.
func (r *result) find(name string) *result {
	for _, b := range r.below {
		if b.name == name {
			return b
		}
		if strings.HasPrefix(name, b.name+"/") {
			if found := b.find(name); found != nil {
				return found
			}
		}
	}
	return nil
}
