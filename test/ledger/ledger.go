package ledger

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Scope says which things belong to a test.
type Scope struct {
	Marks  []string // words that the names of the test's things contain; at least 6 bytes each
	Dirs   []string // state directories, listed file by file
	Shared bool     // other tests run in this process: leave its descriptors and children out
}

// Snapshot is what was there at one moment: one text for each thing, sorted.
type Snapshot []string

// grace is how long a thing may take to go after the test's end.
const grace = 2 * time.Second

// Check fails the test when it leaves something behind. It looks after the
// cleanups that the test registers later, so call it first.
func Check(t testing.TB, s Scope) {
	t.Helper()
	for _, m := range s.Marks {
		if len(m) < 6 {
			t.Fatalf("ledger: the mark %q is too short to be unique", m)
		}
	}
	before := Take(s)
	t.Cleanup(func() {
		if left := Left(before, s); len(left) > 0 {
			t.Errorf("left behind after %v:\n\t%s", grace, strings.Join(left, "\n\t"))
		}
	})
}

// Left returns what is there now and was not in before, once it has been there
// for the time of grace.
func Left(before Snapshot, s Scope) []string {
	deadline := time.Now().Add(grace)
	for {
		left := Diff(before, Take(s))
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		time.Sleep(20 * time.Millisecond) // the kernel tells nobody when a group or a mount goes
	}
}

// Diff returns the lines of after that are not in before.
func Diff(before, after Snapshot) []string {
	had := make(map[string]int, len(before))
	for _, line := range before {
		had[identity(line)]++
	}
	var added []string
	for _, line := range after {
		id := identity(line)
		if had[id]--; had[id] < 0 {
			added = append(added, line)
		}
	}
	return added
}

// identity is what makes a line the same thing at another time: a process may
// execute something else and so change its name and words, not its number.
func identity(line string) string {
	if rest, ok := strings.CutPrefix(line, "process "); ok {
		pid, _, _ := strings.Cut(rest, " ")
		return "process " + pid
	}
	return line
}

// Take looks at the machine.
func Take(s Scope) Snapshot {
	v := view{Scope: s, strict: os.Getenv("BERTH_LEDGER") == "strict"}
	v.mounts("/proc/self/mountinfo")
	v.cgroups("/proc/self/mountinfo")
	v.links()
	v.processes()
	v.files()
	if !s.Shared {
		v.descriptors()
	}
	slices.Sort(v.lines)
	return v.lines
}

// view collects the lines of one snapshot.
type view struct {
	Scope
	strict bool
	lines  Snapshot
}

func (v *view) add(kind, text string) { v.lines = append(v.lines, kind+" "+text) }

// ours reports whether any of the texts bears one of the marks.
func (v *view) ours(texts ...string) bool {
	if v.strict {
		return true
	}
	for _, text := range texts {
		for _, m := range v.Marks {
			if strings.Contains(text, m) {
				return true
			}
		}
	}
	return false
}
