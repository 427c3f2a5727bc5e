package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/fixture"
	"github.com/berth-engine/berth/test/ledger"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("BERTH_OCI_TEST_DIE"); dir != "" {
		dieAt(dir) // see death_test.go
	}
	os.Exit(m.Run())
}

// pod is one test's bundle, runtime and container.
type pod struct {
	*Runtime
	t      *testing.T
	id     string
	bundle string
	spec   *specs.Spec

	mu       sync.Mutex
	warnings []string
}

var serial atomic.Int32

// newPod makes a bundle around busybox whose container runs script. The test
// may change spec before the first create. Whatever it does, nothing may be
// left of it.
func newPod(t *testing.T, script string) *pod {
	t.Helper()
	return makePod(t, script, false)
}

// newPodShared is newPod for tests that run in parallel: descriptors are not
// counted.
func newPodShared(t *testing.T, script string) *pod {
	t.Helper()
	return makePod(t, script, true)
}

func makePod(t *testing.T, script string, shared bool) *pod {
	t.Helper()
	fixture.Root(t)
	p := &pod{
		t: t, bundle: t.TempDir(), spec: DefaultSpec(),
		id: fmt.Sprintf("berth-oci-%d-%d", os.Getpid(), serial.Add(1)),
	}
	ledger.Check(t, ledger.Scope{Marks: []string{p.id}, Shared: shared})
	p.Runtime = &Runtime{Root: filepath.Join(t.TempDir(), "state"), Warn: func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.warnings = append(p.warnings, err.Error())
	}}
	rootfs := filepath.Join(p.bundle, "rootfs")
	if err := os.Mkdir(rootfs, 0o755); err != nil {
		t.Fatal(err)
	}
	fixture.BusyboxAt(t, rootfs)
	p.spec.Root.Readonly = false
	p.spec.Process.Terminal = false
	p.spec.Process.Args = []string{"sh", "-c", script}
	t.Cleanup(func() {
		if err := p.Delete(context.Background(), p.id, true); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error("clean up:", err)
		}
	})
	return p
}

func (p *pod) rootfs(name string) string { return filepath.Join(p.bundle, "rootfs", name) }

// write puts a file into the root file system.
func (p *pod) write(name, text string, mode os.FileMode) {
	p.t.Helper()
	if err := os.WriteFile(p.rootfs(name), []byte(text), mode); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Chmod(p.rootfs(name), mode); err != nil {
		p.t.Fatal(err)
	}
}

// load writes config.json and loads the bundle.
func (p *pod) load() *Bundle {
	p.t.Helper()
	text, err := json.Marshal(p.spec)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.bundle, "config.json"), text, 0o644); err != nil {
		p.t.Fatal(err)
	}
	b, err := LoadBundle(p.bundle)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// output collects what a payload writes.
type output struct {
	r, w *os.File
	null *os.File
	done chan struct{}
	buf  bytes.Buffer
}

func newOutput(t *testing.T) *output {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	o := &output{r: r, w: w, null: null, done: make(chan struct{})}
	go func() {
		defer close(o.done)
		io.Copy(&o.buf, r)
		r.Close()
	}()
	t.Cleanup(func() { w.Close(); null.Close() })
	return o
}

func (o *output) stdio() [3]*os.File { return [3]*os.File{o.null, o.w, o.w} }

// text waits until every payload that has the pipe is gone.
func (o *output) text() string {
	o.w.Close()
	<-o.done
	return o.buf.String()
}

// create makes the container; its payload waits for start.
func (p *pod) create(o *output) *Process {
	p.t.Helper()
	proc, err := p.Create(p.t.Context(), CreateRequest{ID: p.id, Bundle: p.load(), Stdio: o.stdio()})
	if err != nil {
		p.t.Fatal(err)
	}
	p.reaped(proc)
	return proc
}

// reaped lets go of a payload at the test's end.
func (p *pod) reaped(proc *Process) {
	p.t.Cleanup(func() {
		proc.Signal(unix.SIGKILL)
		var ws unix.WaitStatus
		wait4(proc.Pid, &ws)
		proc.Pidfd.Close()
	})
}

// run runs the payload to its end and gives its output and status.
func (p *pod) run(edit ...func(*CreateRequest)) (string, int, error) {
	p.t.Helper()
	o := newOutput(p.t)
	req := CreateRequest{ID: p.id, Bundle: p.load(), Stdio: o.stdio(), Start: true}
	for _, e := range edit {
		e(&req)
	}
	proc, err := p.Create(p.t.Context(), req)
	if err != nil {
		return o.text(), -1, err
	}
	defer proc.Pidfd.Close()
	timer := time.AfterFunc(20*time.Second, func() { proc.Signal(unix.SIGKILL) })
	defer timer.Stop()
	code, err := proc.Wait()
	if err != nil {
		p.t.Fatal(err)
	}
	text := o.text()
	return text, code, p.Delete(p.t.Context(), p.id, false)
}

// says runs the payload, which must succeed, and returns its output.
func (p *pod) says(edit ...func(*CreateRequest)) string {
	p.t.Helper()
	out, code, err := p.run(edit...)
	if err != nil || code != 0 {
		p.t.Fatalf("status %d, error %v, output:\n%s", code, err, out)
	}
	return out
}

// exec runs a process in the container to its end.
func (p *pod) exec(proc *specs.Process, edit ...func(*ExecRequest)) (string, int, error) {
	p.t.Helper()
	o := newOutput(p.t)
	req := ExecRequest{ID: p.id, Process: proc, Stdio: o.stdio()}
	for _, e := range edit {
		e(&req)
	}
	child, err := p.Exec(p.t.Context(), req)
	if err != nil {
		return o.text(), -1, err
	}
	defer child.Pidfd.Close()
	code, err := child.Wait()
	return o.text(), code, err
}

func (p *pod) status() specs.ContainerState {
	p.t.Helper()
	s, err := p.State(p.id)
	if err != nil {
		p.t.Fatal(err)
	}
	return s.Status
}

func (p *pod) wantStatus(want specs.ContainerState) {
	p.t.Helper()
	if got := p.status(); got != want {
		p.t.Fatalf("status %q, want %q", got, want)
	}
}

// wantError wants err to contain every word.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

// poll waits until ok.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("waited too long for ", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func ptr[T any](v T) *T { return &v }

// program is a process for exec with the rights of the container's own.
func (p *pod) program(args ...string) *specs.Process {
	proc := *p.spec.Process
	proc.Args = args
	return &proc
}
