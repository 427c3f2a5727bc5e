package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/cgroup"
	"github.com/berth-engine/berth/test/ledger"
)

// createSteps are the names that Create reaches, in order, for a container
// with everything in it. Where there is no group that the child enters by
// itself it does not wait for one.
func createSteps(t *testing.T) []string {
	t.Helper()
	steps := []string{
		"reserve", "cgroup", "resctrl", "compile", "inputs", "launch", "cloned", "grouped", "born", "rooted", "ready", "record", "pid file", "poststart",
	}
	layout, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	if layout.Version == cgroup.V2 {
		steps = slices.DeleteFunc(steps, func(s string) bool { return s == "grouped" })
	}
	return steps
}

// everything is a pod whose creation has all steps.
func everything(t *testing.T) *pod {
	p := newPod(t, "sleep 1000")
	p.spec.Linux.Namespaces = append(p.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
	p.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 5}}
	p.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/true"}}}
	p.spec.Process.Terminal = true
	return p
}

var errStep = errors.New("step refused")

// leftNothing is what a container that failed at a step must have left.
func (p *pod) leftNothing(fail string, before ledger.Snapshot, scope ledger.Scope) {
	p.t.Helper()
	if left := ledger.Left(before, scope); len(left) > 0 {
		p.t.Errorf("%s left:\n\t%s", fail, strings.Join(left, "\n\t"))
	}
	if _, err := p.State(p.id); !errors.Is(err, fault.NotFound) {
		p.t.Errorf("%s: state %v", fail, err)
	}
	if _, err := os.Lstat(filepath.Join(p.bundle, "pid")); err == nil {
		p.t.Errorf("%s left the pid file", fail)
	}
}

func TestFailAtEveryStep(t *testing.T) {
	for _, start := range []bool{false, true} {
		p := everything(t)
		null := newOutput(t)
		b := p.load()
		if start { // the hook makes a run wait at ready, too
			b.Spec.Hooks.StartContainer = []specs.Hook{{Path: "/bin/true"}}
		}
		scope := ledger.Scope{Marks: []string{p.id}, Dirs: []string{p.Root}}
		create := func() error {
			req := CreateRequest{
				ID: p.id, Bundle: b, Stdio: null.stdio(), Start: start, PIDFile: filepath.Join(p.bundle, "pid"),
			}
			proc, err := p.Create(t.Context(), req)
			if err == nil {
				p.reaped(proc)
				proc.Console.Close()
			}
			return err
		}
		var reached []string
		before := ledger.Take(scope)
		for _, fail := range createSteps(t) {
			p.seam = func(step string) error {
				if step == fail {
					return errStep
				}
				return nil
			}
			if err := create(); !errors.Is(err, errStep) {
				t.Errorf("%s: %v, want the step's own error", fail, err)
			}
			p.leftNothing(fail, before, scope)
		}
		p.seam = func(step string) error { reached = append(reached, step); return nil }
		if err := create(); err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Join(reached, " "), strings.Join(createSteps(t), " "); got != want {
			t.Errorf("steps are %s\nwant     %s", got, want)
		}
	}
}

// A creator that is killed leaves what delete --force can take away: nothing
// else of it remains.
func TestKilledCreator(t *testing.T) {
	p := everything(t)
	p.load()
	// Its orphans come to us, and not to a first process that reaps late.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	scope := ledger.Scope{Marks: []string{p.id}}
	before := ledger.Take(scope)
	for _, step := range createSteps(t) {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^$")
		cmd.Env = append(os.Environ(), "BERTH_OCI_TEST_DIE="+p.bundle, "BERTH_OCI_TEST_ROOT="+p.Root, "BERTH_OCI_TEST_ID="+p.id, "BERTH_OCI_TEST_STEP="+step)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
			t.Fatalf("%s: %v %s", step, err, out)
		}
		s, err := p.State(p.id)
		switch {
		case step == "reserve":
			if !errors.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", step, err)
			}
		case step == "cgroup": // a directory without a record
			wantError(t, err, "interrupted")
			wantError(t, p.Delete(t.Context(), p.id, false), "interrupted")
		case err != nil:
			t.Errorf("%s: %v", step, err)
		case step == "grouped" || step == "born" || step == "rooted" || step == "ready": // it is on record, and ends with its creator
			poll(t, step+": the end of the child", func() bool {
				s, err := p.State(p.id)
				return err == nil && s.Status == specs.StateStopped
			})
		case step == "record" || step == "pid file" || step == "poststart": // it is there already
			if s.Status != specs.StateCreated {
				t.Errorf("%s: status %s", step, s.Status)
			}
		case s.Status != specs.StateCreating:
			t.Errorf("%s: status %s", step, s.Status)
		default:
			wantError(t, p.Start(t.Context(), p.id), "creating")
			wantError(t, p.Kill(p.id, unix.SIGKILL, false), "not running")
			wantError(t, p.Delete(t.Context(), p.id, false), "not stopped")
		}
		if err := p.Delete(t.Context(), p.id, true); err != nil {
			t.Errorf("%s: delete: %v", step, err)
		}
		poll(t, "the orphans", func() bool {
			_, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			return errors.Is(err, unix.ECHILD)
		})
		if left := ledger.Left(before, scope); len(left) > 0 {
			t.Errorf("%s left:\n\t%s", step, strings.Join(left, "\n\t"))
		}
		if _, err := os.Lstat(p.dir(p.id)); err == nil {
			t.Errorf("%s left the directory", step)
		}
	}
}

// dieAt is the creator of TestKilledCreator.
func dieAt(bundle string) {
	r := &Runtime{Root: os.Getenv("BERTH_OCI_TEST_ROOT"), seam: func(step string) error {
		if step == os.Getenv("BERTH_OCI_TEST_STEP") {
			unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
		return nil
	}}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	b, err := LoadBundle(bundle)
	if err == nil {
		_, err = r.Create(context.Background(), CreateRequest{ID: os.Getenv("BERTH_OCI_TEST_ID"), Bundle: b, Stdio: [3]*os.File{null, null, null}})
	}
	fmt.Println("not dead:", err)
	os.Exit(1)
}

// Groups of somebody else do not go with a container that could not be made in
// them, whatever happens to its creator.
func TestForeignGroup(t *testing.T) {
	p := newPod(t, "sleep 1000")
	p.create(newOutput(t))
	s, err := p.State(p.id)
	if err != nil {
		t.Fatal(err)
	}
	thief := newPod(t, "sleep 1000")
	thief.spec.Linux.CgroupsPath = "/" + p.id
	_, err = thief.Create(t.Context(), CreateRequest{ID: thief.id, Bundle: thief.load(), Stdio: newOutput(t).stdio()})
	wantError(t, err, "container's cgroup is not empty")
	if !s.alive() {
		t.Error("the other container is dead")
	}
	// As if the creator had died in the middle of it.
	thief.seam = func(step string) error {
		if step == "compile" {
			t.Error("it got past the cgroup")
		}
		return nil
	}
	if err := os.Mkdir(thief.dir(thief.id), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := thief.Delete(t.Context(), thief.id, true); err != nil {
		t.Error(err)
	}
	if !s.alive() {
		t.Error("the other container is dead")
	}
}
