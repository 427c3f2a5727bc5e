package oci

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

func TestLife(t *testing.T) {
	p := newPod(t, "echo hello; read x </never")
	p.spec.Annotations = map[string]string{"org.example.a": "b"}
	if err := unix.Mkfifo(p.rootfs("never"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := newOutput(t)
	proc := p.create(o)
	p.wantStatus(specs.StateCreated)
	s, err := p.State(p.id)
	if err != nil {
		t.Fatal(err)
	}
	if s.Pid != proc.Pid || s.Bundle != p.bundle || s.Rootfs != p.rootfs("") || s.Annotations["org.example.a"] != "b" || s.Version != specs.Version {
		t.Errorf("state %+v", s)
	}
	wantError(t, p.Delete(t.Context(), p.id, false), "not stopped")
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	p.wantStatus(specs.StateRunning)
	never := -1
	poll(t, "the payload's output", func() bool { // it has printed when it opens the FIFO
		never, err = unix.Open(p.rootfs("never"), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err == nil
	})
	defer unix.Close(never)
	wantError(t, p.Start(t.Context(), p.id), "running")
	_, err = p.Create(t.Context(), CreateRequest{ID: p.id, Bundle: p.load(), Stdio: o.stdio()})
	if !errors.Is(err, fault.Exists) {
		t.Errorf("second create: %v", err)
	}
	if err := p.Freeze(t.Context(), p.id, true); err != nil {
		t.Fatal(err)
	}
	p.wantStatus(StatePaused)
	wantError(t, p.Freeze(t.Context(), p.id, true), "paused")
	if err := p.Freeze(t.Context(), p.id, false); err != nil {
		t.Fatal(err)
	}
	p.wantStatus(specs.StateRunning)
	if err := p.Kill(p.id, 0, false); err != nil {
		t.Error("signal 0: ", err)
	}
	if err := p.Kill(p.id, unix.SIGKILL, false); err != nil {
		t.Fatal(err)
	}
	if code, err := proc.Wait(); code != 128+9 || err != nil {
		t.Errorf("status %d, %v", code, err)
	}
	p.wantStatus(specs.StateStopped)
	if s, _ := p.State(p.id); s.Pid != 0 {
		t.Errorf("a stopped container has pid %d", s.Pid)
	}
	wantError(t, p.Kill(p.id, unix.SIGTERM, false), "container not running")
	if err := p.Kill(p.id, unix.SIGTERM, true); err != nil {
		t.Error("kill --all of a stopped container: ", err)
	}
	wantError(t, p.Start(t.Context(), p.id), "stopped")
	wantError(t, p.Freeze(t.Context(), p.id, true), "stopped")
	if err := p.Delete(t.Context(), p.id, false); err != nil {
		t.Fatal(err)
	}
	if out := o.text(); out != "hello\n" {
		t.Errorf("output %q", out)
	}
	if _, err := p.State(p.id); !errors.Is(err, fault.NotFound) {
		t.Errorf("state after delete: %v", err)
	}
	if err := p.Delete(t.Context(), p.id, false); !errors.Is(err, fault.NotFound) {
		t.Errorf("second delete: %v", err)
	}
	if err := p.Delete(t.Context(), p.id, true); err != nil {
		t.Errorf("second delete, forced: %v", err)
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		want         int
	}{
		{"zero", "true", 0},
		{"own", "exit 42", 42},
		{"signal", "sh -c 'kill -TERM $$'; exit $?", 128 + 15},
		{"most", "exit 255", 255},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPod(t, tt.script)
			if out, code, err := p.run(); code != tt.want || err != nil {
				t.Errorf("status %d, want %d; %v %s", code, tt.want, err, out)
			}
		})
	}
}

// The first process of a pid namespace is immune to signals it has no handler
// for, but not to SIGKILL.
func TestKillAll(t *testing.T) {
	p := newPod(t, "trap 'exit 7' TERM; sleep 1000 & echo ready; wait")
	o := newOutput(t)
	proc := p.create(o)
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	m, err := p.Cgroup(p.id)
	if err != nil {
		t.Fatal(err)
	}
	poll(t, "the child of the shell", func() bool {
		pids, err := m.Pids()
		return err == nil && len(pids) == 2
	})
	if err := p.Kill(p.id, unix.SIGTERM, true); err != nil {
		t.Fatal(err)
	}
	// Either its trap or the end of its child: both are SIGTERM's doing.
	if code, err := proc.Wait(); (code != 7 && code != 128+15) || err != nil {
		t.Errorf("status %d, %v", code, err)
	}
}

// Without a pid namespace of its own the first process takes nobody along.
func TestDeleteTakesAll(t *testing.T) {
	p := newPod(t, "sleep 1000 & exit 0")
	p.spec.Linux.Namespaces = without(p.spec.Linux.Namespaces, specs.PIDNamespace)
	o := newOutput(t)
	proc := p.create(o)
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	if _, err := proc.Wait(); err != nil {
		t.Fatal(err)
	}
	p.wantStatus(specs.StateStopped)
	if err := p.Delete(t.Context(), p.id, false); err != nil {
		t.Fatal(err)
	}
	o.text() // ends only when the sleeper is gone
}

func without(all []specs.LinuxNamespace, types ...specs.LinuxNamespaceType) []specs.LinuxNamespace {
	var out []specs.LinuxNamespace
next:
	for _, n := range all {
		for _, t := range types {
			if n.Type == t {
				continue next
			}
		}
		out = append(out, n)
	}
	return out
}

func TestDeletePausedForced(t *testing.T) {
	p := newPod(t, "sleep 1000")
	proc := p.create(newOutput(t))
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	if err := p.Freeze(t.Context(), p.id, true); err != nil {
		t.Fatal(err)
	}
	_, _, err := p.exec(p.program("true"))
	wantError(t, err, "cannot exec in a paused container")
	done := make(chan error, 1)
	go func() { done <- p.Delete(t.Context(), p.id, true) }()
	if _, err := proc.Wait(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTwoStartsAtOnce(t *testing.T) {
	p := newPod(t, "echo once")
	o := newOutput(t)
	proc := p.create(o)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = p.Start(context.Background(), p.id) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.NotRunning) {
			t.Errorf("a loser: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d starts were successful", won)
	}
	if code, _ := proc.Wait(); code != 0 {
		t.Errorf("status %d", code)
	}
	if out := o.text(); out != "once\n" {
		t.Errorf("output %q", out)
	}
}

func TestTwoCreatesAtOnce(t *testing.T) {
	p := newPod(t, "sleep 1000")
	o := newOutput(t)
	b := make([]*Bundle, 4)
	for i := range b {
		b[i] = p.load()
	}
	var wg sync.WaitGroup
	errs := make([]error, len(b))
	for i := range errs {
		wg.Go(func() {
			proc, err := p.Create(context.Background(), CreateRequest{ID: p.id, Bundle: b[i], Stdio: o.stdio()})
			if errs[i] = err; err == nil {
				p.reaped(proc)
			}
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, fault.Exists) {
			t.Errorf("a loser: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d creates were successful", won)
	}
	p.wantStatus(specs.StateCreated)
}

// What happens to the bundle after create does not concern the container.
func TestBundleChangesLater(t *testing.T) {
	p := newPod(t, "echo old; sleep 1000")
	p.spec.Hooks = &specs.Hooks{Poststop: []specs.Hook{p.noteHook("poststop")}}
	p.create(newOutput(t))
	if err := os.WriteFile(filepath.Join(p.bundle, "config.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	if out, code, err := p.exec(p.program("echo", "in")); out != "in\n" || code != 0 || err != nil {
		t.Errorf("exec: %q %d %v", out, code, err)
	}
	if err := p.Delete(t.Context(), p.id, true); err != nil {
		t.Fatal(err)
	}
	if got := p.notes("poststop"); len(got) != 1 || got[0].Status != specs.StateStopped {
		t.Errorf("poststop hook saw %+v", got)
	}
}

func TestIDs(t *testing.T) {
	r := &Runtime{Root: t.TempDir()}
	for _, id := range []string{"", ".", "..", "../x", "a/b", "/", "a\x00b", "ä", "a b", strings.Repeat("x", 256)} {
		for verb, err := range map[string]error{
			"state":  second(r.State(id)),
			"start":  r.Start(t.Context(), id),
			"kill":   r.Kill(id, unix.SIGKILL, false),
			"killA":  r.Kill(id, unix.SIGKILL, true),
			"delete": r.Delete(t.Context(), id, false),
			"force":  r.Delete(t.Context(), id, true),
			"freeze": r.Freeze(t.Context(), id, true),
			"cgroup": second(r.Cgroup(id)),
			"exec":   second(r.Exec(t.Context(), ExecRequest{ID: id})),
			"create": second(r.Create(t.Context(), CreateRequest{ID: id})),
		} {
			if !errors.Is(err, fault.Invalid) {
				t.Errorf("%s %q: %v, want an invalid id", verb, id, err)
			}
		}
	}
	for _, id := range []string{"a", "A_b+c.d-9", "...", "-x"} {
		if err := CheckID(id); err != nil {
			t.Error(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestDamagedState(t *testing.T) {
	r := &Runtime{Root: t.TempDir()}
	if err := os.Mkdir(filepath.Join(r.Root, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := r.State("x")
	wantError(t, err, "interrupted", "delete --force")
	if err := os.WriteFile(r.stateFile("x"), []byte("{not json"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = r.State("x")
	wantError(t, err, "state.json")
	if all, err := r.List(); len(all) != 0 || err != nil {
		t.Errorf("list: %v %v", all, err)
	}
}

// A pid that was used again is not the container.
func TestRecycledPid(t *testing.T) {
	r := &Runtime{Root: t.TempDir()}
	s := State{State: specs.State{ID: "x", Pid: os.Getpid()}, StartTicks: 1, Cgroups: map[string]string{"pids": "/sys/fs/cgroup/pids/berth-oci-none"}}
	data, err := json.Marshal(&s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.dir("x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.stateFile("x"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, r.Kill("x", unix.SIGKILL, false), "not running")
	if err := r.Delete(t.Context(), "x", false); err != nil {
		t.Fatal(err)
	}
}
