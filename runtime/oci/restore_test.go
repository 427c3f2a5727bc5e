package oci

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/test/fixture"
	"github.com/berth-engine/berth/test/ledger"
)

// checkpointed is a container that has been written to files and is gone.
func checkpointed(t *testing.T) (p *pod, request func() RestoreRequest) {
	t.Helper()
	fixture.Need(t, "criu")
	if out, err := exec.Command("criu", "check").CombinedOutput(); err != nil {
		t.Skipf("criu does not work on this kernel: %s", out)
	}
	t.Setenv("PATH", fixture.Binaries(t).Dir+":"+os.Getenv("PATH"))
	p = newPod(t, "exec sleep 1000")
	p.spec.Hooks = &specs.Hooks{
		CreateRuntime: []specs.Hook{{Path: "/bin/true"}}, Poststart: []specs.Hook{{Path: "/bin/true"}},
		Poststop: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo stopped >>" + filepath.Join(p.bundle, "stops")}}},
	}
	p.spec.Hostname = ""
	p.spec.Linux.Namespaces = without(p.spec.Linux.Namespaces, specs.UTSNamespace)
	o := newOutput(t)
	proc, err := p.Create(t.Context(), CreateRequest{ID: p.id, Bundle: p.load(), Stdio: o.stdio(), Start: true})
	if err != nil {
		t.Fatal(err)
	}
	images := ImageRequest{ID: p.id, Images: filepath.Join(p.bundle, "images"), Work: filepath.Join(p.bundle, "work")}
	if err := p.Checkpoint(t.Context(), CheckpointRequest{ImageRequest: images}); err != nil {
		t.Fatal(err)
	}
	p.reaped(proc)
	return p, func() RestoreRequest {
		return RestoreRequest{ImageRequest: images, Bundle: p.load(), Stdio: o.stdio(), PIDFile: filepath.Join(p.bundle, "pid")}
	}
}

func TestRestoreFailsAtEveryStep(t *testing.T) {
	p, request := checkpointed(t)
	os.Remove(filepath.Join(p.bundle, "stops"))
	scope := ledger.Scope{Marks: []string{p.id}, Dirs: []string{p.Root}}
	restore := func() error {
		proc, err := p.Restore(t.Context(), request())
		if err == nil {
			err = p.Delete(t.Context(), p.id, true)
			p.reaped(proc)
			os.Remove(filepath.Join(p.bundle, "pid"))
		}
		return err
	}
	var steps []string
	p.seam = func(step string) error { steps = append(steps, step); return nil }
	if err := restore(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"look", "cgroup", "setup-namespaces", "post-restore", "pre-resume", "pid file", "poststart"} {
		if !slices.Contains(steps, step) {
			t.Errorf("no step %s among %q", step, steps)
		}
	}
	before := ledger.Take(scope)
	for _, fail := range steps {
		p.seam = func(step string) error {
			if step == fail {
				return errStep
			}
			return nil
		}
		if err := restore(); !errors.Is(err, errStep) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want the step's own error", fail, err)
		}
		p.leftNothing(fail, before, scope)
	}
	p.seam = nil
	if err := restore(); err != nil {
		t.Errorf("and after all that: %v", err)
	}
}

// TestRestoreFailsWithForeignRights: images of a container that was allowed
// more than this one is.
func TestRestoreFailsWithForeignRights(t *testing.T) {
	p, request := checkpointed(t)
	before := ledger.Take(ledger.Scope{Marks: []string{p.id}, Dirs: []string{p.Root}})
	for _, tt := range []struct {
		name, says string
		edit       func(s *specs.Spec)
	}{
		{"capabilities", "has CAP_KILL, which config.json", func(s *specs.Spec) {
			c := s.Process.Capabilities
			for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Permitted, &c.Inheritable, &c.Ambient} {
				*set = slices.DeleteFunc(slices.Clone(*set), func(name string) bool { return name == "CAP_KILL" })
			}
		}},
		{"seccomp", "has no seccomp filter", func(s *specs.Spec) { s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow} }},
		{"namespace", "in the machine's uts namespace", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UTSNamespace})
		}},
	} {
		req := request()
		tt.edit(req.Bundle.Spec)
		proc, err := p.Restore(t.Context(), req)
		wantError(t, err, tt.says)
		if proc != nil {
			t.Errorf("%s: there is a process", tt.name)
		}
		if left := ledger.Left(before, ledger.Scope{Marks: []string{p.id}, Dirs: []string{p.Root}}); len(left) > 0 {
			t.Errorf("%s left:\n\t%s", tt.name, strings.Join(left, "\n\t"))
		}
	}
}
