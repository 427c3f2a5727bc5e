package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/runtime/oci"
	"github.com/berth-engine/berth/runtime/resctrl"
	"github.com/berth-engine/berth/test/fixture"
	"github.com/berth-engine/berth/test/ledger"
)

// shell runs berth-oci with a root of its own.
type shell struct {
	t                *testing.T
	exe, root        string
	bundle, id, work string
	prefix           []string // before the arguments, when exe is another program that starts ours
	env              []string
	extra            []*os.File
}

func newShell(t *testing.T, script string) *shell {
	t.Helper()
	fixture.Root(t)
	s := &shell{
		t: t, exe: fixture.Binaries(t).OCI, root: filepath.Join(t.TempDir(), "root"),
		bundle: t.TempDir(), work: t.TempDir(), id: fmt.Sprintf("berth-cli-%d", os.Getpid()),
	}
	ledger.Check(t, ledger.Scope{Marks: []string{s.id}, Shared: true})
	rootfs := filepath.Join(s.bundle, "rootfs")
	if err := os.Mkdir(rootfs, 0o755); err != nil {
		t.Fatal(err)
	}
	fixture.BusyboxAt(t, rootfs)
	s.edit(func(spec *specs.Spec) { spec.Process.Args = []string{"sh", "-c", script} })
	// What outlives its starter becomes our child, so that its end is for us to
	// see: the machine's first process may take its time.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.run("delete", "--force", s.id)
		s.until(func() bool {
			_, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			return errors.Is(err, unix.ECHILD)
		})
	})
	return s
}

// until polls for up to 20 s.
func (s *shell) until(done func() bool) {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatal("not within 20 s")
		}
	}
}

// edit writes config.json.
func (s *shell) edit(change func(*specs.Spec)) {
	s.t.Helper()
	spec := oci.DefaultSpec()
	spec.Process.Terminal = false
	change(spec)
	b, err := json.Marshal(spec)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.bundle, "config.json"), b, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// without takes namespaces of a kind away.
func without(p *specs.Spec, kind specs.LinuxNamespaceType) {
	p.Linux.Namespaces = slices.DeleteFunc(p.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
}

// run gives what the command prints and its status.
func (s *shell) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := exec.Command(s.exe, slices.Concat(s.prefix, []string{"--root", s.root}, args)...)
	// Files and not pipes: a container that goes on has them, too.
	files := [2]*os.File{}
	for i := range files {
		f, err := os.CreateTemp(s.work, "out")
		if err != nil {
			s.t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	cmd.Dir, cmd.ExtraFiles = s.work, s.extra
	cmd.Env = append(os.Environ(), s.env...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	var text [2]string
	for i, f := range files {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			s.t.Fatal(err)
		}
		text[i] = string(b)
	}
	return text[0], text[1], cmd.ProcessState.ExitCode()
}

// want runs a command and compares its status and a part of all its output.
func (s *shell) want(code int, part string, args ...string) string {
	s.t.Helper()
	stdout, stderr, got := s.run(args...)
	if got != code || !strings.Contains(stdout+stderr, part) {
		s.t.Errorf("%q: status %d, want %d with %q:\n%s%s", args, got, code, part, stdout, stderr)
	}
	return stdout
}

func TestWithoutContainer(t *testing.T) {
	s := newShell(t, "true")
	s.want(1, "No help topic for 'foo'", "foo")
	s.want(0, "berth-oci version ", "--version")
	s.want(0, "spec: "+specs.Version, "-v")
	s.want(0, "USAGE", "--help")
	s.want(0, "   berth-oci kill - ", "kill", "-h")
	s.want(1, "flag provided but not defined: -wrong", "kill", "--wrong", "x") // runc's words
	s.want(1, "arguments", "state")
	for _, verb := range []string{"state", "start", "kill", "delete", "pause", "resume", "events", "update", "ps"} {
		s.want(1, `container \"none\" does not exist`, verb, "none")
		s.want(1, "invalid container id", verb, "../none")
	}
	s.want(255, "does not exist", "exec", "none", "true")
	s.want(0, "", "delete", "none", "--force")
	s.want(1, "no such file", "list")
	s.want(1, "unknown log format", "--log-format", "xml", "list")
	s.want(1, "config.json", "run", "x")
	if _, err := os.Lstat(s.root); err == nil {
		t.Error("a command that makes nothing has made its root")
	}
	var f struct{ Hooks, MountOptions []string }
	if err := json.Unmarshal([]byte(s.want(0, "", "features")), &f); err != nil || len(f.Hooks) != 6 || len(f.MountOptions) == 0 {
		t.Errorf("features: %v %+v", err, f)
	}
}

func TestSpec(t *testing.T) {
	s := newShell(t, "")
	for _, args := range [][]string{{"spec"}, {"spec", "--rootless"}} {
		dir := t.TempDir()
		s.want(0, "", append(args, "--bundle", dir)...)
		b, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		var spec specs.Spec
		if err := json.Unmarshal(b, &spec); err != nil || spec.Version != specs.Version {
			t.Errorf("%q: %v %s", args, err, b)
		}
		if got := len(spec.Linux.UIDMappings) == 1; got != (len(args) == 2) {
			t.Errorf("%q: maps %v", args, spec.Linux.UIDMappings)
		}
		s.want(1, "exists. Remove it first", "spec", "--bundle", dir)
	}
}

func TestCommands(t *testing.T) {
	s := newShell(t, "trap 'exit 3' TERM; while :; do sleep 0.02; done")
	s.want(0, "", "create", "--bundle", s.bundle, s.id, "--pid-file", "pid")
	pid, err := os.ReadFile(filepath.Join(s.work, "pid")) // of the caller's directory
	if err != nil {
		t.Fatal(err)
	}
	var state map[string]any
	text := s.want(0, `"status": "created"`, "state", s.id)
	if err := json.Unmarshal([]byte(text), &state); err != nil || fmt.Sprint(state["pid"]) != string(pid) {
		t.Errorf("state %v %v, pid file %q", err, state, pid)
	}
	s.want(0, "", "start", s.id)
	s.want(1, "running", "start", s.id)
	s.want(1, "already exists", "run", "--bundle", s.bundle, s.id)

	s.want(0, "in\n", "exec", s.id, "echo", "in")
	s.want(0, "--detach\n", "exec", s.id, "echo", "--detach") // what follows the id is the command's
	s.want(7, "", "exec", s.id, "sh", "-c", "exit 7")
	s.want(143, "", "exec", s.id, "sh", "-c", "kill $$")
	s.want(255, "executable file not found in $PATH", "exec", s.id, "nope")
	s.want(255, "no such file", "exec", "--pid-file", "/no/dir/x", s.id, "true")
	s.want(255, "detach", "exec", "-t", "-d", s.id, "true")
	s.want(0, "uid=5 gid=6 groups=7\nv\n/tmp\n", "exec", "-u", "5:6", "-g", "7", "-e", "V=v", "--cwd", "/tmp", s.id, "sh", "-c", "id; echo $V; pwd")
	s.want(0, "NoNewPrivs:\t1\n", "exec", "--no-new-privs", s.id, "grep", "NoNewPrivs", "/proc/self/status")
	process := filepath.Join(s.work, "process.json")
	if err := os.WriteFile(process, []byte(`{"args":["/bin/env"],"cwd":"/","env":["A=b"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.want(0, "", "exec", "-p", process, s.id); got != "A=b\nHOME=/root\n" {
		t.Errorf("exec --process: environment %q", got)
	}

	list := s.want(0, "", "list", "--format", "json")
	keys := []string{"ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"}
	at := 0
	for _, k := range keys {
		i := strings.Index(list[at:], `"`+k+`":`)
		if i < 0 {
			t.Errorf("list: %q out of order or missing in %s", k, list)
			break
		}
		at += i
	}
	if strings.Count(list, "\n") != 1 {
		t.Errorf("list: more than one line: %s", list)
	}
	s.want(0, s.id+"\n", "list", "-q")
	s.want(0, "PID         STATUS      BUNDLE", "list")
	s.want(0, string(pid), "ps", "--format", "json", s.id)
	s.want(0, "sh -c trap", "ps", s.id)
	s.want(0, "sh -c trap", "ps", s.id, "-e", "-x", "-f")

	s.want(0, `{"type":"stats","id":"`+s.id+`","data":{"cpu":`, "events", "--stats", s.id)
	s.want(0, "", "update", s.id, "--pids-limit", "33", "--memory", "50M", "--cpu-share", "512")
	s.want(0, `"limit":33`, "events", "--stats", s.id)
	s.want(0, `"limit":52428800`, "events", "--stats", s.id)
	s.want(1, "--memory", "update", s.id, "--memory", "many")
	s.want(0, "--kernel-memory is ignored", "update", s.id, "--kernel-memory", "1M")
	if info, err := os.ReadFile("/proc/self/mountinfo"); err == nil && resctrl.Find(string(info)) == "" {
		s.want(1, "l3 cache schema is not enabled", "update", s.id, "--l3-cache-schema", "L3:0=f")
	}
	// What is not named stays, what belongs together stays together.
	s.want(0, "", "update", s.id, "--memory", "64M", "--memory-swap", "96M", "--cpu-period", "50000", "--cpu-quota", "25000")
	s.want(0, "", "update", s.id, "--memory", "32M")
	s.want(0, "", "update", s.id, "--memory=-1", "--cpu-quota=-1", "--pids-limit=-1", "--cpu-idle", "0", "--cpuset-cpus", "0")
	s.want(0, `"cpus":[0]`, "events", "--stats", s.id)
	s.want(0, "", "update", s.id, "--pids-limit", "33", "--memory", "50M", "--memory-swap=-1")
	resources := filepath.Join(s.work, "r.json")
	if err := os.WriteFile(resources, []byte(`{"pids":{"limit":44}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.want(0, "", "update", "-r", resources, s.id)
	s.want(0, `"limit":44`, "events", "--stats", s.id)

	s.want(0, "", "pause", s.id)
	s.want(0, `"status": "paused"`, "state", s.id)
	s.want(255, "cannot exec in a paused container", "exec", s.id, "true")
	s.want(0, "", "resume", s.id)
	s.want(1, "unknown signal", "kill", s.id, "NOPE")
	s.want(0, "", "kill", s.id, "0")
	s.want(0, "", "kill", s.id, "SIGTERM")
	// The payload is the child of nobody here, so events tells of its end.
	s.run("events", "--interval", "50ms", s.id)
	s.want(1, "container not running", "kill", s.id)
	s.want(0, "", "kill", "-a", s.id, "KILL")
	s.want(0, "", "ps", s.id)
	s.want(0, "", "delete", s.id)
}

func TestRun(t *testing.T) {
	s := newShell(t, "echo out; exit 4")
	if got := s.want(4, "", "run", "--bundle", s.bundle, s.id); got != "out\n" {
		t.Errorf("output %q", got)
	}
	s.want(1, "does not exist", "state", s.id)
	s.want(4, "", "run", "--keep", "--bundle", s.bundle, s.id)
	s.want(0, `"status": "stopped"`, "state", s.id)
	s.want(0, "", "delete", s.id)
	s.edit(func(p *specs.Spec) { p.Process.Terminal = true })
	s.want(1, "--console-socket", "run", "--detach", "--bundle", s.bundle, s.id)
	s.want(1, "--console-socket", "create", "--bundle", s.bundle, s.id)
	s.edit(func(p *specs.Spec) { p.Process.Args = []string{"/no/such"} })
	s.want(1, "/no/such: no such file or directory", "run", "--bundle", s.bundle, s.id)
}

func TestLog(t *testing.T) {
	s := newShell(t, "true")
	_, stderr, _ := s.run("state", s.id)
	if !strings.HasPrefix(stderr, "time=\"") || !strings.Contains(stderr, " level=error msg=\"container ") {
		t.Errorf("without --log: %q", stderr)
	}
	for _, tt := range []struct{ format, word string }{{"text", "level=debug"}, {"json", `"level":"debug"`}} {
		file := filepath.Join(s.work, "log."+tt.format)
		_, stderr, code := s.run("--log", file, "--log-format", tt.format, "--debug", "state", s.id)
		log, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("container %q does not exist\n", s.id); stderr != want || code != 1 {
			t.Errorf("%s: stderr %q, want %q", tt.format, stderr, want)
		}
		if !bytes.Contains(log, []byte(tt.word)) || !bytes.Contains(log, []byte("does not exist")) {
			t.Errorf("%s: log %s", tt.format, log)
		}
	}
}

func TestDescriptors(t *testing.T) {
	s := newShell(t, "cat <&3; echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; ls /proc/self/fd")
	open := func() *os.File {
		f, err := os.CreateTemp(t.TempDir(), "f")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		if _, err := f.WriteString("text\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		return f
	}
	s.want(1, "descriptor 3 is not open", "run", "--preserve-fds", "1", "--bundle", s.bundle, s.id)
	s.extra = []*os.File{open(), open()}
	if got := s.want(0, "", "run", "--preserve-fds", "1", "--bundle", s.bundle, s.id); got != "text\n\n0\n1\n2\n3\n4\n" {
		t.Errorf("--preserve-fds: %q", got)
	}
	s.extra = []*os.File{open(), open()}
	s.env = []string{"LISTEN_FDS=1", "LISTEN_FDNAMES=web"}
	if got := s.want(0, "", "run", "--preserve-fds", "1", "--bundle", s.bundle, s.id); got != "text\n1 1 web\n0\n1\n2\n3\n4\n5\n" {
		t.Errorf("LISTEN_FDS: %q", got)
	}
}
