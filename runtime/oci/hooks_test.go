package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/test/fixture"
	"github.com/berth-engine/berth/test/ledger"
)

// noteHook appends its stdin and its pid namespace to a file of the bundle.
func (p *pod) noteHook(name string) specs.Hook {
	script := fmt.Sprintf("{ cat; echo; readlink /proc/self/ns/pid; readlink /proc/self/ns/mnt; } >> %s", filepath.Join(p.bundle, name))
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin:/usr/bin"}}
}

// note is what a hook saw.
type note struct {
	specs.State
	pidNS, mntNS string
}

func (p *pod) notes(name string) []note { return readNotes(p.t, filepath.Join(p.bundle, name)) }

func readNotes(t *testing.T, file string) []note {
	t.Helper()
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []note
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for ; len(lines) >= 3; lines = lines[3:] {
		n := note{pidNS: lines[1], mntNS: lines[2]}
		if err := json.Unmarshal([]byte(lines[0]), &n.State); err != nil {
			t.Fatalf("%s: %v in %q", file, err, lines[0])
		}
		all = append(all, n)
	}
	return all
}

func link(t *testing.T, name string) string {
	t.Helper()
	s, err := os.Readlink(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHooks(t *testing.T) {
	for _, start := range []bool{false, true} {
		t.Run(map[bool]string{false: "create and start", true: "run"}[start], func(t *testing.T) { testHooks(t, start) })
	}
}

func testHooks(t *testing.T, atOnce bool) {
	p := newPod(t, "cat /inside; echo > /done; sleep 1000")
	inside := p.noteHook("")
	inside.Args = []string{"sh", "-c", "{ cat; echo; readlink /proc/self/ns/pid; readlink /proc/self/ns/mnt; } > /inside; [ -n \"$HOME\" ]"}
	inside.Env = nil // of the payload
	p.spec.Annotations = map[string]string{"a": "b"}
	p.spec.Hooks = &specs.Hooks{
		//lint:ignore SA1019 deprecated, and must still work
		Prestart:        []specs.Hook{p.noteHook("prestart")},
		CreateRuntime:   []specs.Hook{p.noteHook("createRuntime"), {Path: "/bin/true"}},
		CreateContainer: []specs.Hook{p.noteHook("createContainer")},
		StartContainer:  []specs.Hook{inside},
		Poststart:       []specs.Hook{p.noteHook("poststart")},
		Poststop:        []specs.Hook{p.noteHook("poststop")},
	}
	o := newOutput(t)
	proc, err := p.Create(t.Context(), CreateRequest{ID: p.id, Bundle: p.load(), Stdio: o.stdio(), Start: atOnce})
	if err != nil {
		t.Fatal(err)
	}
	p.reaped(proc)
	if !atOnce {
		if got := p.notes("poststart"); got != nil {
			t.Error("poststart hook before start")
		}
		if err := p.Start(t.Context(), p.id); err != nil {
			t.Fatal(err)
		}
	}
	poll(t, "the payload", func() bool { _, err := os.Stat(p.rootfs("done")); return err == nil })
	pidNS, mntNS := link(t, fmt.Sprintf("/proc/%d/ns/pid", proc.Pid)), link(t, fmt.Sprintf("/proc/%d/ns/mnt", proc.Pid))
	if err := p.Delete(t.Context(), p.id, true); err != nil {
		t.Fatal(err)
	}
	hostPID, hostMnt := link(t, "/proc/self/ns/pid"), link(t, "/proc/self/ns/mnt")
	for _, tt := range []struct {
		name   string
		got    []note
		status specs.ContainerState
		pid    int
		inside bool
	}{
		{"prestart", p.notes("prestart"), specs.StateCreated, proc.Pid, false},
		{"createRuntime", p.notes("createRuntime"), specs.StateCreated, proc.Pid, false},
		{"createContainer", p.notes("createContainer"), specs.StateCreated, 1, true},
		{"startContainer", readNotes(t, p.rootfs("inside")), specs.StateCreated, 1, true},
		{"poststart", p.notes("poststart"), specs.StateRunning, proc.Pid, false},
		{"poststop", p.notes("poststop"), specs.StateStopped, 0, false},
	} {
		if len(tt.got) != 1 {
			t.Errorf("%s ran %d times", tt.name, len(tt.got))
			continue
		}
		n := tt.got[0]
		if n.ID != p.id || n.Status != tt.status || n.Pid != tt.pid || n.Bundle != p.bundle || n.Annotations["a"] != "b" {
			t.Errorf("%s saw %+v", tt.name, n.State)
		}
		wantPID, wantMnt := hostPID, hostMnt
		if tt.inside {
			wantPID, wantMnt = pidNS, mntNS
		}
		if n.pidNS != wantPID || n.mntNS != wantMnt {
			t.Errorf("%s ran in %s %s, want %s %s", tt.name, n.pidNS, n.mntNS, wantPID, wantMnt)
		}
	}
	if out := o.text(); !strings.Contains(out, p.id) {
		t.Errorf("the startContainer hook came after the payload: %q", out)
	}
}

func TestFailingHookUndoes(t *testing.T) {
	set := map[string]func(*specs.Hooks, ...specs.Hook){
		//lint:ignore SA1019 deprecated, and must still work
		"prestart":        func(h *specs.Hooks, l ...specs.Hook) { h.Prestart = l },
		"createRuntime":   func(h *specs.Hooks, l ...specs.Hook) { h.CreateRuntime = l },
		"createContainer": func(h *specs.Hooks, l ...specs.Hook) { h.CreateContainer = l },
		"startContainer":  func(h *specs.Hooks, l ...specs.Hook) { h.StartContainer = l },
		"poststart":       func(h *specs.Hooks, l ...specs.Hook) { h.Poststart = l },
	}
	for name, into := range set {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, "sleep 1000")
			p.spec.Hooks = &specs.Hooks{Poststop: []specs.Hook{p.noteHook("poststop")}}
			into(p.spec.Hooks, specs.Hook{Path: "/bin/true"}, specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "echo oops >&2; exit 3"}})
			scope := ledger.Scope{Marks: []string{p.id}, Shared: true}
			before := ledger.Take(scope)
			_, _, err := p.run()
			wantError(t, err, "error running "+name+" hook #1:", "exit status 3")
			if _, err := p.State(p.id); err == nil {
				t.Error("the container is still there")
			}
			if left := ledger.Left(before, scope); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			want := 1
			if name == "startContainer" {
				want = 0 // nothing ran before it that poststop could undo
			}
			if got := len(p.notes("poststop")); got != want {
				t.Errorf("poststop hook ran %d times, want %d", got, want)
			}
		})
	}
}

func TestFailingStartHookStops(t *testing.T) {
	for _, name := range []string{"startContainer", "poststart"} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, "sleep 1000")
			bad := []specs.Hook{{Path: "/bin/false"}}
			p.spec.Hooks = &specs.Hooks{StartContainer: bad}
			if name == "poststart" {
				p.spec.Hooks = &specs.Hooks{Poststart: bad}
			}
			proc := p.create(newOutput(t))
			wantError(t, p.Start(t.Context(), p.id), "error running "+name+" hook #0:")
			if code, err := proc.Wait(); code != 128+9 || err != nil {
				t.Errorf("status %d %v", code, err)
			}
			p.wantStatus(specs.StateStopped)
		})
	}
}

func TestPoststopFailureIsAWarning(t *testing.T) {
	p := newPod(t, "true")
	p.spec.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/bin/false"}, p.noteHook("second")}}
	p.says()
	if len(p.warnings) != 1 || !strings.Contains(p.warnings[0], "poststop hook #0") {
		t.Errorf("warnings %q", p.warnings)
	}
	if len(p.notes("second")) != 1 {
		t.Error("the second hook did not run")
	}
}

func TestHookTimeout(t *testing.T) {
	for _, name := range []string{"createRuntime", "createContainer"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPodShared(t, "true")
			slow := []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "100"}, Timeout: ptr(1)}}
			p.spec.Hooks = &specs.Hooks{CreateRuntime: slow}
			if name == "createContainer" {
				p.spec.Hooks = &specs.Hooks{CreateContainer: slow}
			}
			begin := time.Now()
			_, _, err := p.run()
			wantError(t, err, name, "timeout")
			if d := time.Since(begin); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestHookErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		hook specs.Hook
		want []string
	}{
		{"relative", specs.Hook{Path: "true"}, []string{"hooks.create", "not an absolute path"}},
		{"missing", specs.Hook{Path: "/no/such/hook"}, []string{"error running", "/no/such/hook", "no such file"}},
		{"talks", specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "echo why; exit 1"}}, []string{"error running", "why"}},
	} {
		for _, inside := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				p := newPod(t, "true")
				p.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{tt.hook}}
				want := tt.want
				if inside {
					p.spec.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{tt.hook}}
					want = slices.DeleteFunc(slices.Clone(want), func(s string) bool { return s == "why" })
				}
				_, _, err := p.run()
				wantError(t, err, want...)
			})
		}
	}
}

func TestTimerSlackOfAHook(t *testing.T) {
	usual := fixture.LateThread(t)
	seen := filepath.Join(t.TempDir(), "slack")
	h := &specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "cat /proc/self/timerslack_ns > " + seen}, Env: []string{"PATH=/bin:/usr/bin"}}
	if err := runHook(t.Context(), &State{}, h); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(seen)
	if err != nil || strings.TrimSpace(string(got)) != usual {
		t.Errorf("a hook's timer slack is %q, %v; ours %q", got, err, usual)
	}
}
