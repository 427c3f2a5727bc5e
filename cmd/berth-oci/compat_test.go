package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/test/fixture"
)

// TestCapabilityNotHeld: on a machine that lacks a capability a container that
// asks for it comes up without it, and the log says so.
func TestCapabilityNotHeld(t *testing.T) {
	fixture.Need(t, "setpriv")
	s := newShell(t, "")
	exe := s.exe
	s.exe, s.prefix = "setpriv", []string{"--bounding-set=-sys_time", exe}
	s.edit(func(p *specs.Spec) {
		caps := []string{"CAP_CHOWN", "CAP_SYS_TIME"}
		p.Process.Args = []string{"grep", "CapEff", "/proc/self/status"}
		p.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
	})
	stdout, stderr, code := s.run("run", "--bundle", s.bundle, s.id)
	if code != 0 || stdout != "CapEff:\t0000000000000001\n" {
		t.Errorf("status %d, output %q", code, stdout)
	}
	if !strings.Contains(stderr, "level=warning") || !strings.Contains(stderr, "CAP_SYS_TIME") {
		t.Errorf("no warning: %q", stderr)
	}
}

// TestNotFoundInShortPath: engines look for these words, and a PATH of one
// directory is a PATH, too.
func TestNotFoundInShortPath(t *testing.T) {
	s := newShell(t, "")
	s.edit(func(p *specs.Spec) {
		p.Process.Env, p.Process.Args = []string{"PATH=/bin"}, []string{"nope"}
	})
	s.want(1, `exec: \"nope\": executable file not found in $PATH`, "run", "--bundle", s.bundle, s.id)
}

func TestHelp(t *testing.T) {
	s := newShell(t, "")
	link := filepath.Join(t.TempDir(), "oci-runtime")
	if err := os.Symlink(s.exe, link); err != nil {
		t.Fatal(err)
	}
	s.exe = link // help speaks of the name that was called
	lines := func(args ...string) []string { return strings.Split(s.want(0, "", args...), "\n") }
	if got := lines("-h"); got[0] != "NAME:" || got[1] != "   oci-runtime - Open Container Initiative runtime" {
		t.Errorf("-h: %q", got[:2])
	}
	for _, c := range commands() {
		got := lines(c.name, "-h")
		if got[0] != "NAME:" || !strings.HasPrefix(got[1], "   oci-runtime "+c.name) {
			t.Errorf("%s -h: %q", c.name, got[:2])
		}
	}
	if got := lines("--version"); !strings.HasPrefix(got[0], "berth-oci version ") || !slices.Contains(got, "spec: "+specs.Version) {
		t.Errorf("--version: %q", got)
	}
}

func TestFormats(t *testing.T) {
	s := newShell(t, "sleep 100")
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	s.want(1, "invalid format option", "list", "--format", "xml")
	s.want(1, "invalid format option", "ps", "--format", "xml", s.id)
	if got := strings.Fields(s.want(0, "sleep 100", "ps", s.id)); strings.Join(got[:8], " ") != "UID PID PPID C STIME TTY TIME CMD" {
		t.Errorf("ps: %q", got)
	}
}

// TestPidfdSocket: one message, the kind of process as data, its pidfd.
func TestPidfdSocket(t *testing.T) {
	s := newShell(t, "sleep 100")
	path := filepath.Join(s.work, "pidfd")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	receive := func(kind string) {
		t.Helper()
		conn, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		data, oob := make([]byte, 100), make([]byte, 100)
		n, m, _, _, err := conn.ReadMsgUnix(data, oob)
		if err != nil {
			t.Fatal(err)
		}
		messages, err := unix.ParseSocketControlMessage(oob[:m])
		if err != nil || len(messages) != 1 {
			t.Fatalf("%d control messages, %v", len(messages), err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil || len(fds) != 1 || string(data[:n]) != kind {
			t.Fatalf("descriptors %v, data %q, %v; want %q", fds, data[:n], err, kind)
		}
		defer unix.Close(fds[0])
		if err := unix.PidfdSendSignal(fds[0], unix.SIGKILL, nil, 0); err != nil {
			t.Errorf("%s: no pidfd: %v", kind, err)
		}
	}
	s.want(0, "", "run", "--detach", "--pidfd-socket", path, "--bundle", s.bundle, s.id)
	receive("standard")
	s.want(0, "", "delete", "--force", s.id)
	s.want(0, "", "create", "--bundle", s.bundle, "--pidfd-socket", path, s.id)
	receive("standard")
	s.want(0, "", "delete", "--force", s.id)
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	s.want(0, "", "exec", "--detach", "--pidfd-socket", path, s.id, "sleep", "100")
	receive("setns")

	s.want(255, "pidfd socket", "exec", "--pidfd-socket", "/none", s.id, "true")
	s.want(0, "", "delete", "--force", s.id)
	s.want(1, "pidfd socket", "run", "--pidfd-socket", "/none", "--bundle", s.bundle, s.id)
	s.want(1, "does not exist", "state", s.id) // nothing was made
}

// receiveMaster takes what --console-socket sends.
func receiveMaster(t *testing.T, l *net.UnixListener) *os.File {
	t.Helper()
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	data, oob := make([]byte, 4096), make([]byte, 100)
	n, m, _, _, err := conn.ReadMsgUnix(data, oob)
	if err != nil || n == 0 || !strings.HasPrefix(string(data[:n]), "/dev/") {
		t.Fatalf("data %q, %v", data[:n], err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:m])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d control messages, %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("descriptors %v, %v", fds, err)
	}
	master := os.NewFile(uintptr(fds[0]), "master")
	t.Cleanup(func() { master.Close() })
	return master
}

// TestConsoleSocket: one message, the terminal's name as data, the master.
func TestConsoleSocket(t *testing.T) {
	s := newShell(t, "")
	s.edit(func(p *specs.Spec) {
		p.Process.Args = []string{"sh", "-c", "stty size; tty; stat -c %u:%g /dev/pts/0; sleep 100"}
		p.Process.Terminal, p.Process.ConsoleSize = true, &specs.Box{Height: 31, Width: 99}
		p.Process.User.UID = 1000
	})
	path := filepath.Join(s.work, "console")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.want(0, "", "run", "--detach", "--console-socket", path, "--bundle", s.bundle, s.id)
	master := receiveMaster(t, l)
	want := "31 99\r\n/dev/pts/0\r\n1000:5\r\n"
	var got []byte
	for buf := make([]byte, 100); len(got) < len(want); {
		n, err := master.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		got = append(got, buf[:n]...)
	}
	if string(got) != want {
		t.Errorf("the terminal shows %q, want %q", got, want)
	}
	s.edit(func(p *specs.Spec) { p.Process.Args = []string{"true"} })
	s.want(1, "no terminal", "run", "--console-socket", path, "--bundle", s.bundle, s.id+"b")
}

// TestExecCgroup: exec --cgroup enters groups below the container's.
func TestExecCgroup(t *testing.T) {
	s := newShell(t, "")
	s.edit(func(p *specs.Spec) {
		p.Process.Args = []string{"sh", "-c", "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/sub 2>/dev/null; for f in cpuset.cpus cpuset.mems; do [ -e $d/$f ] && cat $d/$f >$d/sub/$f; done; done; touch /tmp/made; sleep 100"}
		p.Root.Readonly = false
		for i := range p.Mounts {
			if p.Mounts[i].Type == "cgroup" {
				p.Mounts[i].Options = slices.DeleteFunc(p.Mounts[i].Options, func(o string) bool { return o == "ro" })
			}
		}
	})
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	s.until(func() bool {
		_, err := os.Stat(filepath.Join(s.bundle, "rootfs/tmp/made"))
		return err == nil
	})
	groups := s.want(0, "", "exec", s.id, "cat", "/proc/self/cgroup")
	all := s.want(0, "", "exec", "--cgroup", "sub", s.id, "cat", "/proc/self/cgroup")
	if !strings.Contains(all, ":/sub\n") || strings.Count(all, "/sub") < strings.Count(groups, "\n")-1 {
		t.Errorf("--cgroup sub:\n%s", all)
	}
	if strings.Contains(groups, ":pids:") { // cgroup v1
		one := s.want(0, ":pids:/sub\n", "exec", "--cgroup", "pids:/sub", s.id, "cat", "/proc/self/cgroup")
		if strings.Count(one, "/sub") != 1 {
			t.Errorf("--cgroup pids:/sub:\n%s", one)
		}
		s.want(255, "unknown controller moon", "exec", "--cgroup", "moon:sub", s.id, "true")
		s.want(255, "named twice", "exec", "--cgroup", "pids,pids:sub", s.id, "true")
		s.want(255, "empty name", "exec", "--cgroup", ":sub", s.id, "true")
	}
	s.want(255, "bad sub cgroup path", "exec", "--cgroup", "../other", s.id, "true")
	s.want(255, "adding pid to cgroup", "exec", "--cgroup", "none", s.id, "true")
	s.want(255, "CONTROLLER:", "exec", "--cgroup", "sub", "--cgroup", "pids:sub", s.id, "true")
}

// TestScriptWithoutInterpreter: what runc prints then, and nothing around it.
func TestScriptWithoutInterpreter(t *testing.T) {
	s := newShell(t, "")
	s.edit(func(p *specs.Spec) { p.Process.Args = []string{"/run.sh"} })
	script := filepath.Join(s.bundle, "rootfs/run.sh")
	if err := os.WriteFile(script, []byte("#!/no/such/shell\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	const line = "exec /run.sh: no such file or directory\n"
	if stdout, stderr, code := s.run("run", "--bundle", s.bundle, s.id); code != 1 || stdout+stderr != line {
		t.Errorf("status %d, %q %q", code, stdout, stderr)
	}
	// start is asked by engines, which show its error to their users.
	s.want(0, "", "create", "--bundle", s.bundle, s.id)
	s.want(1, "interpreter", "start", s.id)
	s.want(0, "", "delete", s.id)
	log := filepath.Join(s.work, "log")
	s.run("--log", log, "run", "--bundle", s.bundle, s.id)
	if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), "interpreter") {
		t.Errorf("the log does not explain: %v %s", err, text)
	}
}

func TestStopped(t *testing.T) {
	s := newShell(t, "true")
	s.want(0, "", "run", "--keep", "--bundle", s.bundle, s.id)
	var st struct {
		Pid    int
		Status string
	}
	if err := json.Unmarshal([]byte(s.want(0, "", "state", s.id)), &st); err != nil || st.Pid != 0 || st.Status != "stopped" {
		t.Errorf("state: %+v %v", st, err)
	}
	s.want(255, "stopped container", "exec", s.id, "true")
	s.want(1, "container not running", "kill", s.id)
	s.want(0, "", "kill", "--all", s.id)
	s.want(1, "stopped", "start", s.id)
	s.want(1, "stopped", "pause", s.id)
	s.want(0, "PID", "ps", s.id)
	s.want(0, "", "delete", s.id)
	s.want(1, "does not exist", "delete", s.id)
}

// TestPidFile: of the caller's directory, and the number alone.
func TestPidFile(t *testing.T) {
	s := newShell(t, "sleep 100")
	s.want(0, "", "run", "--detach", "--pid-file", "sub/../pid", "--bundle", s.bundle, s.id)
	s.want(0, "", "exec", "--detach", "--pid-file", "pid2", s.id, "sleep", "100")
	for _, name := range []string{"pid", "pid2"} {
		text, err := os.ReadFile(filepath.Join(s.work, name))
		if err != nil || len(text) == 0 || strings.Trim(string(text), "0123456789") != "" {
			t.Errorf("%s: %q %v", name, text, err)
		}
	}
}

// TestPausedForce: delete --force takes a frozen container, and all in it.
func TestPausedForce(t *testing.T) {
	s := newShell(t, "sleep 100 & sleep 100")
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	s.want(0, "", "pause", s.id)
	s.want(0, `"status": "paused"`, "state", s.id)
	s.want(1, "paused", "pause", s.id)
	s.want(1, "not stopped", "delete", s.id)
	s.want(0, "", "delete", "--force", s.id)
	s.want(1, "does not exist", "state", s.id)
	s.want(0, "", "delete", "--force", s.id)
}

// TestFeatures: every member of features-linux.md is there, and what is named
// is known.
func TestFeatures(t *testing.T) {
	s := newShell(t, "")
	var f features.Features
	if err := json.Unmarshal([]byte(s.want(0, "", "features")), &f); err != nil {
		t.Fatal(err)
	}
	l := reflect.ValueOf(*f.Linux)
	for i := range l.NumField() {
		if l.Field(i).IsZero() {
			t.Errorf("linux.%s is missing", l.Type().Field(i).Name)
		}
	}
	for _, o := range f.MountOptions {
		if len(mount.ParseFlags([]string{o}).Data) > 0 {
			t.Errorf("mount option %s is data for a file system", o)
		}
	}
	if !slices.IsSorted(f.MountOptions) || len(slices.Compact(f.MountOptions)) != len(f.MountOptions) {
		t.Errorf("not sorted, or twice: %q", f.MountOptions)
	}
	if c := f.Linux.Capabilities; len(c) != int(kernel.LastCap())+1 || c[0] != "CAP_CHOWN" {
		t.Errorf("capabilities %q", c)
	}
}

// TestDebugOnStderr: without --log debug lines are on stderr.
func TestDebugOnStderr(t *testing.T) {
	s := newShell(t, "true")
	_, stderr, code := s.run("--debug", "run", "--bundle", s.bundle, s.id)
	if code != 0 || !strings.Contains(stderr, " level=debug msg=") {
		t.Errorf("status %d, %q", code, stderr)
	}
}
