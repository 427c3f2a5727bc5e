package vm

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/test/gotest"
)

// outline is a result and those below it, a line each.
func outline(r *result, depth int) string {
	var b strings.Builder
	for _, s := range r.below {
		b.WriteString(strings.Repeat(" ", depth) + s.name + " " + s.action + " " + strings.ReplaceAll(strings.TrimSpace(strings.Join(s.output, "")), "\n", "|") + "\n")
		b.WriteString(outline(s, depth+1))
	}
	return b.String()
}

func TestGather(t *testing.T) {
	const mark = "\x16" // -test.v=test2json puts it before what is its own
	printed := strings.Join([]string{
		mark + "=== RUN   TestA", mark + "=== RUN   TestA/one/half", "    a_test.go:3: careful",
		mark + "--- PASS: TestA/one/half (0.00s)", mark + "=== RUN   TestA/two", "    a_test.go:7: no such thing here",
		mark + "--- SKIP: TestA/two (0.00s)", mark + "--- PASS: TestA (0.50s)",
		mark + "=== RUN   TestB", "--- FAIL: not ours", mark + "--- FAIL: TestB (0.00s)",
		mark + "=== RUN   TestC", "the machine stops here",
	}, "\n") + "\n"
	r := decode(t, []byte(printed))
	const want = `TestA pass --- PASS: TestA (0.50s)
 TestA/one/half pass a_test.go:3: careful|--- PASS: TestA/one/half (0.00s)
 TestA/two skip a_test.go:7: no such thing here|--- SKIP: TestA/two (0.00s)
TestB fail --- FAIL: not ours|--- FAIL: TestB (0.00s)
TestC  the machine stops here
`
	if d := cmp.Diff(want, outline(r, 0)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := r.find("TestA/one/half"); got == nil || got.action != "pass" {
		t.Errorf("TestA/one/half: %+v", got)
	}
	if got := r.find("TestA/three"); got != nil {
		t.Errorf("found what did not run: %+v", got)
	}
	if got := gotest.Reason(r.find("TestA/two").output); got != "no such thing here" {
		t.Errorf("reason %q", got)
	}
}
