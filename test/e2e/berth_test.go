package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-engine/berth/test/fixture"
	"github.com/berth-engine/berth/test/ledger"
)

// engine is berth with directories of one test.
type engine struct {
	t           testing.TB
	bin         fixture.Bin
	root, state string
	env         []string
}

// newEngine makes one whose containers are removed, and whose remains are
// looked for, when the test ends.
func newEngine(t testing.TB) *engine {
	t.Helper()
	fixture.Root(t)
	bin := fixture.Binaries(t)
	dir, err := os.MkdirTemp("/var/tmp", "berth-e2e.") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, bin: bin, root: filepath.Join(dir, "lib"), state: filepath.Join(dir, "run")}
	ledger.Check(t, ledger.Scope{Marks: []string{dir}})
	t.Cleanup(func() {
		e.removeAll()
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("the engine's directories: %v", err)
		}
	})
	return e
}

// removeAll removes every container and checks that their groups went.
func (e *engine) removeAll() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ids := e.output(ctx, "ps", "-aq", "--no-trunc")
	if ids.out == "" {
		return
	}
	if r := e.output(ctx, append([]string{"rm", "-f"}, strings.Fields(ids.out)...)...); r.code != 0 {
		e.t.Errorf("rm -f: %s", r)
	}
	// A zombie may be left to the machine's first process, which takes its time.
	for _, left := range ledger.Left(nil, ledger.Scope{Marks: strings.Fields(ids.out), Shared: true}) {
		e.t.Errorf("after rm -f there is still: %s", left)
	}
}

// result is what a command did.
type result struct {
	code     int
	out, err string
}

func (r result) String() string {
	return "exit code " + itoa(r.code) + "\nstdout: " + r.out + "\nstderr: " + r.err
}

// run executes berth with these words and waits for it.
func (e *engine) run(args ...string) result {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 2*time.Minute)
	defer cancel()
	return e.output(ctx, args...)
}

func (e *engine) output(ctx context.Context, args ...string) result {
	cmd := e.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second // whoever inherits the pipes shall not hold us up
	err := cmd.Run()
	r := result{code: cmd.ProcessState.ExitCode(), out: strings.TrimSuffix(out.String(), "\n"), err: errs.String()}
	if err != nil && cmd.ProcessState == nil || errors.Is(err, exec.ErrWaitDelay) {
		e.t.Errorf("berth %q: %v\n%s", args, err, r)
	}
	return r
}

// command is berth, not yet started.
func (e *engine) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.bin.Berth, append([]string{"--root", e.root, "--state", e.state}, args...)...)
	cmd.Env = append(os.Environ(), e.env...)
	return cmd
}

// ok runs and fails the test unless the exit code is 0; it returns stdout.
func (e *engine) ok(args ...string) string {
	e.t.Helper()
	r := e.run(args...)
	if r.code != 0 {
		e.t.Fatalf("berth %q: %s", args, r)
	}
	return r.out
}

// eventually polls until fn is content or 20 s have passed.
func eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if fn() {
			return
		}
		time.Sleep(20 * time.Millisecond) // between two looks
	}
	t.Fatalf("after 20 s still not: %s", what)
}
