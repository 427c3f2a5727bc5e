package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-engine/berth/test/fixture"
)

// TestExplainMatchesStrace prints the plan of a container, runs the same
// container under strace, and checks that the child's calls are those of the
// plan: every one, in order, with its strings, and none besides.
func TestExplainMatchesStrace(t *testing.T) {
	fixture.Need(t, "strace")
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"plain", []string{"host", "true"}},
		{"read-only, tmpfs, bind", []string{"--read-only", "--tmpfs", "/tmp", "-v", "/usr/bin:/mnt:ro", "host", "true"}},
		{"user, limits, words", []string{"-u", "65534:65534", "--ulimit", "nofile=512:512", "--hostname", "aboard", "-w", "/tmp", "host", "true"}},
		{"privileged", []string{"--privileged", "host", "true"}},
		{"unconfined", []string{"--security-opt", "seccomp=unconfined", "--security-opt", "no-new-privileges", "host", "true"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newEngine(t)
			mark := "mark-" + strconv.Itoa(os.Getpid())
			args := append(tt.args, mark)
			plan := parsePlan(t, e.ok(append([]string{"explain", "run", "--calls", "--rm"}, args...)...))
			if len(plan) < 20 {
				t.Fatalf("explain prints only %d calls", len(plan))
			}
			if err := follow(plan, traceChild(t, e, mark, append([]string{"run", "--rm"}, args...))); err != nil {
				t.Error(err)
			}
		})
	}
}

// planned is a call as explain prints it.
type planned struct {
	line  string
	name  string
	texts []string // quoted strings among the arguments
	slot  int      // descriptor that the result becomes; -1: none
	ok    []string // errors that count as done
	skip  int      // calls to skip on success
}

var (
	plannedCall = regexp.MustCompile(`^ {12,}([a-z_0-9]+)\((.*)\)(?:→s(\d+))?(?: \[(.*)\])?$`)
	plannedSkip = regexp.MustCompile(`^ {12,}skip\(\) \[then skip (\d+)\]$`)
	plannedFail = regexp.MustCompile(`^ {12,}or fail with `)
	quoted      = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
)

func parsePlan(t *testing.T, text string) []planned {
	t.Helper()
	var plan []planned
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if plannedFail.MatchString(line) {
			plan = append(plan, planned{line: strings.TrimSpace(line), name: "fail", slot: -1})
			continue
		}
		if m := plannedSkip.FindStringSubmatch(line); m != nil {
			plan = append(plan, planned{line: strings.TrimSpace(line), name: "skip", skip: atoi(t, m[1])})
			continue
		}
		m := plannedCall.FindStringSubmatch(line)
		if m == nil {
			continue // words: a step
		}
		p := planned{line: strings.TrimSpace(line), name: m[1], texts: quoted.FindAllString(m[2], -1), slot: -1}
		if m[3] != "" {
			n, err := strconv.Atoi(m[3])
			if err != nil {
				t.Fatal(err)
			}
			p.slot = 64 + n
		}
		for note := range strings.SplitSeq(m[4], ", ") {
			if name, ok := strings.CutSuffix(note, " ok"); ok {
				p.ok = append(p.ok, name)
			}
			if n, ok := strings.CutPrefix(note, "then skip "); ok {
				p.skip = atoi(t, n)
			}
		}
		plan = append(plan, p)
	}
	return plan
}

// traced is a call as strace prints it.
type traced struct {
	line  string
	name  string
	ret   int
	errno string
}

// 1234 openat2(64, "proc", {…}, 24) = 7     or     = -1 ENOENT (No such file…)
var tracedCall = regexp.MustCompile(`^([a-z_0-9]+)\(.*\)\s+= (-?\d+|\?|0x[0-9a-f]+)(?:<[^>]*>)?(?: (E[A-Z0-9]+))?`)

// traceChild runs the words under strace and returns what the process did
// that became the payload, from the exec of the launcher's image until its own.
func traceChild(t *testing.T, e *engine, mark string, words []string) []traced {
	t.Helper()
	dir := t.TempDir()
	cmd := e.command(t.Context(), words...)
	strace := exec.CommandContext(t.Context(), "strace", append([]string{
		"-ff", "-q", "-x", "-s", "4096", "-e", "signal=none", "-o", filepath.Join(dir, "trace"), "--", cmd.Path,
	}, cmd.Args[1:]...)...)
	strace.Env = cmd.Env
	if out, err := strace.CombinedOutput(); err != nil {
		t.Fatalf("strace berth %q: %v\n%s", words, err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "trace.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if calls := untilPayload(t, f, mark); calls != nil {
			return calls
		}
	}
	t.Fatalf("no process of the trace becomes the payload %s", mark)
	return nil
}

// untilPayload reads one process's trace from its last exec before the
// payload's up to that; nil when it never became the payload.
func untilPayload(t *testing.T, file, mark string) []traced {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var calls []traced
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 4<<20)
	for scan.Scan() {
		m := tracedCall.FindStringSubmatch(scan.Text())
		if m == nil {
			continue
		}
		ret, err := strconv.ParseInt(m[2], 0, 64)
		if err != nil {
			ret = -1
		}
		c := traced{line: scan.Text(), name: m[1], ret: int(ret), errno: m[3]}
		calls = append(calls, c)
		if c.name == "execve" && c.errno == "" {
			if len(calls) > 1 && strings.Contains(c.line, mark) && !strings.Contains(c.line, `"--rm"`) {
				return calls
			}
			calls = nil // berth, its monitor, or the image of the launcher
		}
	}
	return nil
}

// follow walks through plan and trace together as the child does: a call that
// works skips what it says, one that fails must have that error on its list.
func follow(plan []planned, trace []traced) error {
	// The first call of the child's image maps the page in which it reports.
	if len(trace) == 0 || trace[0].name != "mmap" {
		return fmt.Errorf("the child does not begin with its report page")
	}
	trace = trace[1:]
	at := func() string {
		if len(trace) == 0 {
			return "the end"
		}
		return trace[0].line
	}
	for i := 0; i < len(plan); {
		p := plan[i]
		if p.name == "skip" {
			i += 1 + p.skip
			continue
		}
		if p.name == "fail" {
			return fmt.Errorf("call %d: the plan gives up here, the child went on: %s", i, at())
		}
		if len(trace) == 0 || trace[0].name != p.name {
			return fmt.Errorf("call %d: planned %s\nbut the child did %s", i, p.line, at())
		}
		c := trace[0]
		trace = trace[1:]
		if err := sameTexts(p, c); err != nil {
			return fmt.Errorf("call %d: %w", i, err)
		}
		switch {
		case c.errno == "EINTR", c.errno == "EAGAIN" && p.name == "openat2":
			continue // done again
		case c.errno != "":
			if !slices.Contains(p.ok, c.errno) {
				return fmt.Errorf("call %d: %s\nis not allowed to fail so: %s", i, p.line, c.line)
			}
			i++
			continue
		}
		if p.name == "execve" {
			break // the payload is running: the end, and what follows is its own
		}
		if p.slot >= 0 && c.ret != p.slot {
			if len(trace) < 2 || trace[0].name != "dup3" || trace[1].name != "close" {
				return fmt.Errorf("call %d: %s\nits descriptor is not moved: %s", i, p.line, at())
			}
			trace = trace[2:]
		}
		i += 1 + p.skip
	}
	if len(trace) > 0 {
		return fmt.Errorf("besides the plan the child did %s", at())
	}
	return nil
}

// What differs between the plan that is printed and the one that runs: the
// container's id, or part of it, and the directory of the bundle.
var (
	id     = regexp.MustCompile(`[0-9a-f]{12,64}`)
	bundle = regexp.MustCompile(`"[^"]*/(?:berth-explain-\d+|containers/ID/bundle)`)
)

func same(s string) string {
	return bundle.ReplaceAllString(id.ReplaceAllString(s, "ID"), `"BUNDLE`)
}

// sameTexts checks that the planned strings are those of the call.
func sameTexts(p planned, c traced) error {
	line := same(c.line)
	for _, text := range p.texts {
		if strings.Contains(text, "…") {
			continue // shortened by explain
		}
		if text = same(text); !strings.Contains(line, text) {
			return fmt.Errorf("planned %s\nbut %s is not in %s", p.line, text, c.line)
		}
	}
	return nil
}
