package dropin

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-engine/berth/test/apart"
	"github.com/berth-engine/berth/test/engines"
	"github.com/berth-engine/berth/test/fixture"
)

// host is set while the tests run.
var host *engines.Host

// image is the busybox image in each engine.
const image = "localhost/dropin:1"

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		os.Exit(m.Run()) // the tests say why they skip
	}
	if !apart.Inside() { // inside there is no network
		if _, err := fixture.Build(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	// Not in /tmp, which may be a tmpfs: overlay needs extended attributes.
	code, err := apart.Run(apart.Options{Dir: "/var/tmp"}, func(scratch string) int {
		host = &engines.Host{Dir: scratch, Group: apart.Group(scratch)}
		defer host.Close()
		return m.Run()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// runtime is the path of berth-oci.
func runtime(t *testing.T) string {
	t.Helper()
	fixture.Root(t)
	return fixture.Binaries(t).OCI
}

// engine is an engine's command line.
type engine struct {
	t     *testing.T
	words []string
	log   string // of its daemon, shown when a test fails
}

// Each engine is started once.
var (
	docker     = sync.OnceValues(startDocker)
	containerd = sync.OnceValues(startContainerd)
	podman     = sync.OnceValues(startPodman)
)

func startDocker() ([]string, error) {
	bin, err := fixture.Build()
	if err != nil {
		return nil, err
	}
	return host.Docker("--add-runtime", "berth="+bin.OCI, "--default-runtime", "berth", "--ip-forward=true")
}

func startContainerd() ([]string, error) { return host.Containerd() }

func startPodman() ([]string, error) {
	bin, err := fixture.Build()
	if err != nil {
		return nil, err
	}
	return host.Podman("--runtime", bin.OCI)
}

// use starts the engine if it does not run, with our image in it.
func use(t *testing.T, name string, start func() ([]string, error), load func(e *engine, tar string)) *engine {
	t.Helper()
	fixture.Root(t)
	fixture.Need(t, name)
	words, err := start()
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, words: words, log: filepath.Join(host.Dir, name+".log")}
	t.Cleanup(e.showLog)
	if marker := filepath.Join(host.Dir, name+".loaded"); !exists(marker) {
		load(e, fixture.BusyboxTar(t))
		if err := os.WriteFile(marker, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

// showLog prints what the daemon had to say in the course of a failed test.
func (e *engine) showLog() {
	text, err := os.ReadFile(e.log)
	if err != nil || !e.t.Failed() {
		return
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	e.t.Logf("end of %s:\n%s", filepath.Base(e.log), strings.Join(lines[max(0, len(lines)-12):], "\n"))
}

func (e *engine) command(args ...string) *exec.Cmd {
	return exec.CommandContext(e.t.Context(), e.words[0], append(e.words[1:len(e.words):len(e.words)], args...)...)
}

// run gives what the command prints, both streams together, and its status.
func (e *engine) run(args ...string) (string, int) {
	e.t.Helper()
	cmd := e.command(args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		e.t.Fatalf("%q: %v", args, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// want runs a command and compares its status and a part of its output.
func (e *engine) want(code int, part string, args ...string) string {
	e.t.Helper()
	out, got := e.run(args...)
	if got != code || !strings.Contains(out, part) {
		e.t.Errorf("%q: status %d, want %d with %q:\n%s", args, got, code, part, out)
	}
	return strings.TrimSpace(out)
}

// until runs a command again and again, up to 20 s, until it prints want.
func (e *engine) until(want string, args ...string) {
	e.t.Helper()
	var out string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if out, _ = e.run(args...); strings.Contains(out, want) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	e.t.Errorf("%q does not print %q in 20 s:\n%s", args, want, out)
}

// later removes a container when the test ends.
func (e *engine) later(args ...string) { e.t.Cleanup(func() { e.background(args...) }) }

// background is run for cleanups, when the test's context has ended. It tries
// for 20 s: podman 4.3 and its own clean-up process get into each other's way
// (shm: device or resource busy), with any runtime.
func (e *engine) background(args ...string) {
	var out []byte
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		out, err = exec.Command(e.words[0], append(e.words[1:len(e.words):len(e.words)], args...)...).CombinedOutput()
		if err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	e.t.Errorf("%q: %v\n%s", args, err, out)
}
