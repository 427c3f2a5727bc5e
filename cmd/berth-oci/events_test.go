package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/runtime/cgroup"
	"github.com/berth-engine/berth/test/fixture"
)

// keysOf lists the keys of a JSON object and of the objects in it, in order.
func keysOf(t *testing.T, text string) []string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	var keys []string
	var object func(path string)
	value := func(path string) {
		tok, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch tok {
		case json.Delim('{'):
			object(path)
		case json.Delim('['):
			for dec.More() {
				var skip any
				if err := dec.Decode(&skip); err != nil {
					t.Fatal(err)
				}
			}
			_, _ = dec.Token()
		}
	}
	object = func(path string) {
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				t.Fatal(err)
			}
			at := path + "." + key.(string)
			keys = append(keys, at)
			value(at)
		}
		_, _ = dec.Token()
	}
	value("")
	return keys
}

// TestEventsLikeRunc compares the shape of events --stats with runc's. What
// newer runcs have more is ours, too; counters that are zero are left out by
// both, so only those that a sleeping shell must have are compared. runc does
// not look for huge pages in the unified tree of a hybrid machine, nor for
// CPUs and memory nodes in one of cgroup v2 alone.
func TestEventsLikeRunc(t *testing.T) {
	fixture.Need(t, "runc")
	s := newShell(t, "sleep 1000")
	s.edit(func(spec *specs.Spec) {
		spec.Process.Args = []string{"sleep", "1000"}
		spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ref(int64(64 << 20))}
		spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ref(int64(20))}
	})
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	ours := keysOf(t, s.want(0, "", "events", "--stats", s.id))

	root, id := filepath.Join(t.TempDir(), "runc"), s.id+"-runc"
	runc := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("runc", append([]string{"--root", root}, args...)...)
		if args[0] == "run" { // its output would stay open in the container
			if err := cmd.Run(); err != nil {
				t.Skip("runc cannot run a container here:", err)
			}
			return ""
		}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(args, err)
		}
		return string(out)
	}
	t.Cleanup(func() { _ = exec.Command("runc", "--root", root, "delete", "--force", id).Run() })
	runc("run", "--detach", "--bundle", s.bundle, id)
	theirs := keysOf(t, runc("events", "--stats", id))

	parts := []string{"raw.", ".blkio.", ".throttling.", ".cache", ".usage.max", ".usage.usage", ".kernel.usage", ".kernel.max", ".swap.usage", ".swap.max", ".percpu", ".psi", ".event_count", ".hugetlb."}
	if l, err := cgroup.Detect(); err == nil && l.Version == cgroup.V2 {
		parts = append(parts, ".cpuset.cpus", ".cpuset.mems")
	}
	vague := func(key string) bool {
		for _, part := range parts {
			if strings.Contains(key, part) {
				return true
			}
		}
		return false
	}
	ours, theirs = slices.DeleteFunc(ours, vague), slices.DeleteFunc(theirs, vague)
	if !slices.Equal(ours, theirs) {
		t.Errorf("keys of events --stats:\nours   %v\nrunc's %v", ours, theirs)
	}
	if len(ours) < 40 {
		t.Errorf("only %d keys: %v", len(ours), ours)
	}
}

func TestEventsTellOOM(t *testing.T) {
	s := newShell(t, "")
	s.edit(func(spec *specs.Spec) {
		// One process alone asks for memory: another's page, while the first
		// victim's are not free yet, makes the kernel kill a second one.
		spec.Process.Args = []string{"sh", "-c", "read x; ulimit -v 60000; tail /dev/zero; sleep 0.5"}
		size := int64(16 << 20)
		spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &size, Swap: &size}
	})
	out := s.oomOf()
	if !strings.Contains(out, `{"type":"oom","id":"`+s.id+`"}`+"\n") {
		t.Errorf("no oom in:\n%s", out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, `{"type":"oom-kill"`) && (!strings.Contains(line, `"name":"tail"`) || !strings.Contains(line, s.id)) {
			t.Errorf("the victim: %s", line)
		}
	}
}

// prints repeats a command until it prints part.
func (s *shell) prints(part string, args ...string) {
	s.t.Helper()
	s.until(func() bool {
		stdout, _, _ := s.run(args...)
		return strings.Contains(stdout, part)
	})
}

// oomOf runs the container, which waits for a line, and gives what events
// prints until it ends.
func (s *shell) oomOf() string {
	s.t.Helper()
	payload := exec.Command(s.exe, "--root", s.root, "run", "--bundle", s.bundle, s.id)
	start, err := payload.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := payload.Start(); err != nil {
		s.t.Fatal(err)
	}
	defer payload.Wait()
	s.prints(`"status": "running"`, "state", s.id)
	watch := exec.Command(s.exe, "--root", s.root, "events", "--interval", "20ms", s.id)
	pipe, err := watch.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		s.t.Fatal(err)
	}
	var text strings.Builder
	buf := make([]byte, 64<<10)
	for {
		n, err := pipe.Read(buf)
		text.Write(buf[:n])
		if start != nil && n > 0 { // it watches
			if _, err := start.Write([]byte("go\n")); err != nil {
				s.t.Error(err)
			}
			start = nil
		}
		if err != nil {
			break
		}
	}
	if err := watch.Wait(); err != nil {
		s.t.Error(err)
	}
	return text.String()
}
