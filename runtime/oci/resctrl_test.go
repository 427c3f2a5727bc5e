package oci

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/resctrl"
)

// withResctrl gives a pod a tree of plain files in place of resctrl, with a
// group "gold" in it.
func withResctrl(t *testing.T, p *pod) (gold string) {
	t.Helper()
	p.resctrl = t.TempDir()
	gold = filepath.Join(p.resctrl, "gold")
	if err := os.MkdirAll(gold, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tasks", "schemata"} {
		if err := os.WriteFile(filepath.Join(gold, name), []byte("L3:0=f\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.spec.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "gold", L3CacheSchema: "L3:0=f"}
	return gold
}

func TestNoResctrl(t *testing.T) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || resctrl.Find(string(info)) != "" {
		t.Skip("resctrl is mounted here")
	}
	p := newPod(t, "true")
	p.spec.Linux.IntelRdt = &specs.LinuxIntelRdt{}
	if _, _, err := p.run(); !errors.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), "linux.intelRdt: resctrl is not mounted") {
		t.Error(err)
	}
}

// The container's process, and one that exec adds, write themselves into the
// group, from outside of the container's root; update writes its schemata.
func TestResctrl(t *testing.T) {
	p := newPod(t, "sleep 1000")
	gold := withResctrl(t, p)
	o := newOutput(t)
	p.create(o)
	wantFile := func(name, want string) {
		t.Helper()
		if text, err := os.ReadFile(filepath.Join(gold, name)); err != nil || !strings.HasPrefix(string(text), want) {
			t.Errorf("%s: %q, want %q; %v", name, text, want, err)
		}
	}
	entered := func() {
		t.Helper()
		wantFile("tasks", "0")
		if err := os.WriteFile(filepath.Join(gold, "tasks"), []byte("L3:0=f\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	entered()
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	if _, code, err := p.exec(p.program("true")); code != 0 || err != nil {
		t.Errorf("exec: %d, %v", code, err)
	}
	entered()
	if err := p.SetCaches(p.id, []resctrl.Line{{Field: "--l3-cache-schema", Text: "L3:0=3"}}); err != nil {
		t.Error(err)
	}
	wantFile("schemata", "L3:0=3\n")
	if err := p.Delete(t.Context(), p.id, true); err != nil {
		t.Error(err)
	}
	wantFile("schemata", "L3:0=3\n") // the group has a name of its own, and stays
}

func TestNoCaches(t *testing.T) {
	p := newPod(t, "true")
	p.create(newOutput(t))
	wantError(t, p.SetCaches(p.id, []resctrl.Line{{Field: "--l3-cache-schema", Text: "L3:0=3"}}), "--l3-cache-schema", "without linux.intelRdt")
}

// Whichever step of a creation fails, the container's own group goes. In a
// plain directory nobody makes tasks, so the child itself cannot enter either.
func TestResctrlFail(t *testing.T) {
	p := newPod(t, "true")
	withResctrl(t, p)
	p.spec.Linux.IntelRdt = &specs.LinuxIntelRdt{EnableMonitoring: false}
	for _, fail := range []string{"cgroup", "resctrl", "compile", "inputs", "launch", "cloned", "none"} {
		p.seam = func(step string) error {
			if step == fail {
				return errStep
			}
			return nil
		}
		_, err := p.Create(t.Context(), CreateRequest{ID: p.id, Bundle: p.load(), Stdio: newOutput(t).stdio()})
		if fail == "none" {
			wantError(t, err, "enter cgroup of resctrl")
		} else if !errors.Is(err, errStep) {
			t.Errorf("%s: %v", fail, err)
		}
		if _, err := os.Lstat(filepath.Join(p.resctrl, p.id)); err == nil {
			t.Errorf("%s: the group is still there", fail)
		}
	}
}
