package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/berth-engine/berth/test/fixture"
)

// TestScript runs testdata/script against the real programs and kernel. Every
// script has directories of its own and the image busybox; what it leaves in
// them when it has removed its containers is an error.
func TestScript(t *testing.T) {
	fixture.Root(t)
	fixture.Need(t, "busybox")
	bin := fixture.Binaries(t)
	tar := fixture.BusyboxTar(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			root, state := filepath.Join(e.WorkDir, "lib"), filepath.Join(e.WorkDir, "run")
			e.Setenv("PATH", bin.Dir+":"+os.Getenv("PATH"))
			e.Setenv("BERTH_ROOT", root)
			e.Setenv("BERTH_STATE", state)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("TAR", tar)
			berth := func(args ...string) ([]byte, error) {
				cmd := exec.Command(bin.Berth, args...)
				cmd.Env = append(os.Environ(), "BERTH_ROOT="+root, "BERTH_STATE="+state)
				return cmd.CombinedOutput()
			}
			if out, err := berth("import", tar, "busybox"); err != nil {
				return fmt.Errorf("import: %w\n%s", err, out)
			}
			e.Defer(func() {
				out, err := berth("ps", "-aq", "--no-trunc")
				if err != nil {
					t.Errorf("ps -aq: %v\n%s", err, out)
				}
				for _, id := range strings.Fields(string(out)) {
					if out, err := berth("rm", "-f", id); err != nil {
						t.Errorf("rm -f %s: %v\n%s", id, err, out)
					}
				}
				left(t, root, state)
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"berth":  run,
			"code":   code,
			"retry":  retry,
			"killid": killID,
		},
	})
}

// left fails for everything that belongs to containers and is still there.
func left(t *testing.T, root, state string) {
	t.Helper()
	for _, dir := range []string{
		filepath.Join(root, "containers"), filepath.Join(root, "names"), filepath.Join(root, "snapshots", "keys"),
		filepath.Join(state, "containers"), filepath.Join(state, "oci"),
	} {
		entries, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".") {
				t.Errorf("left behind: %s", filepath.Join(dir, e.Name()))
			}
		}
	}
}

// run is the command berth itself, so that scripts read like a terminal.
func run(ts *testscript.TestScript, neg bool, args []string) {
	switch err := ts.Exec("berth", args...); {
	case err != nil && !neg:
		ts.Fatalf("%v", err)
	case err == nil && neg:
		ts.Fatalf("succeeded, and should have failed")
	}
}

// code N CMD... runs CMD and wants exit code N; stdout and stderr are checked
// with the commands of those names.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command [arg...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		ee, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = ee.ExitCode()
		if ws, ok := ee.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			got = 128 + int(ws.Signal())
		}
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// retry WORD CMD... runs CMD until its standard output contains WORD.
func retry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: retry word command [arg...]")
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Dir, cmd.Env = ts.Getenv("WORK"), environ(ts)
		if p := ts.Getenv("PATH"); !strings.Contains(args[1], "/") {
			for _, dir := range filepath.SplitList(p) {
				if _, err := os.Stat(filepath.Join(dir, args[1])); err == nil {
					cmd.Path, cmd.Err = filepath.Join(dir, args[1]), nil
					break
				}
			}
		}
		var out bytes.Buffer
		cmd.Stdout = &out
		err := cmd.Run()
		if strings.Contains(out.String(), args[0]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q never printed %q; last (%v): %s", args[1:], args[0], err, out.String())
		}
		time.Sleep(20 * time.Millisecond) // another process is being waited for
	}
}

func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, k := range []string{"PATH", "HOME", "BERTH_ROOT", "BERTH_STATE"} {
		env = append(env, k+"="+ts.Getenv(k))
	}
	return env
}

// killid FILE kills the process whose number is in FILE.
func killID(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: killid file")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	if pid < 2 {
		ts.Fatalf("bad pid %d", pid)
	}
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
}
