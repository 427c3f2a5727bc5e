package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/runtime/oci"
	"github.com/berth-engine/berth/test/fixture"
)

// These tests need CRIU and a kernel that it works on: the virtual machines of
// test/vm have one. Those of failures need no CRIU that works.

// counting is a payload that counts in its memory and shows it in a tmpfs. A
// second process waits beside it.
const counting = "sleep 100000 & n=0; while :; do n=$((n+1)); echo $n >/dev/shm/new; mv /dev/shm/new /dev/shm/n; sleep 0.05; done"

func needsCriu(t *testing.T) {
	t.Helper()
	fixture.Need(t, "criu")
	if out, err := exec.Command("criu", "check").CombinedOutput(); err != nil {
		t.Skipf("criu does not work on this kernel: %s", out)
	}
}

func (s *shell) pid() int {
	s.t.Helper()
	var v struct{ Pid int }
	if err := json.Unmarshal([]byte(s.want(0, `"pid"`, "state", s.id)), &v); err != nil || v.Pid == 0 {
		s.t.Fatalf("pid %d, %v", v.Pid, err)
	}
	return v.Pid
}

// count is what the counting container of a process shows.
func (s *shell) count(pid int) int {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/dev/shm/n", pid))
	if err != nil {
		return 0 // it has not begun
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil && len(text) > 0 { // it is being written
		s.t.Fatal(err)
	}
	return n
}

// counts waits for the container to count beyond n, and returns how far it is.
func (s *shell) counts(n int) (now int) {
	s.t.Helper()
	pid := s.pid()
	s.until(func() bool { now = s.count(pid); return now > n })
	return now
}

// insidePids are the numbers of a container's lasting processes in its own
// namespace: two looks have them. One may meet a shell's child before it has
// become another program.
func (s *shell) insidePids() (pids []string) {
	s.t.Helper()
	s.until(func() bool {
		before := pids
		pids = s.lookInside()
		return slices.Equal(pids, before)
	})
	return pids
}

func (s *shell) lookInside() (pids []string) {
	s.t.Helper()
	var all []int
	if err := json.Unmarshal([]byte(s.want(0, "[", "ps", "-f", "json", s.id)), &all); err != nil {
		s.t.Fatal(err)
	}
	for _, pid := range all {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		words, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, "NSpid:"); ok && string(words) != "sleep\x000.05\x00" {
				f := strings.Fields(rest)
				pids = append(pids, f[len(f)-1]+" "+strings.ReplaceAll(string(words), "\x00", " "))
			}
		}
	}
	return pids
}

// runCounting starts a counting container and lets it come to ten.
func (s *shell) runCounting(edit func(*specs.Spec)) int {
	s.t.Helper()
	s.edit(func(p *specs.Spec) {
		p.Process.Args = []string{"sh", "-c", counting}
		if edit != nil {
			edit(p)
		}
	})
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	return s.counts(10)
}

func (s *shell) gone() {
	s.t.Helper()
	s.want(1, "does not exist", "state", s.id)
	if groups, _ := filepath.Glob("/sys/fs/cgroup/" + s.id + "*"); len(groups) > 0 {
		s.t.Errorf("there are still %q", groups)
	}
}

func TestCheckpointGoesOn(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	volume := t.TempDir()
	if err := os.WriteFile(filepath.Join(volume, "file"), []byte("of the machine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	memory, pids, quota, period := int64(64<<20), int64(30), int64(50000), uint64(100000)
	before := s.runCounting(func(p *specs.Spec) {
		p.Hostname = "counter"
		p.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &memory}
		p.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
		p.Linux.Resources.CPU = &specs.LinuxCPU{Quota: &quota, Period: &period}
		p.Mounts = append(p.Mounts, specs.Mount{Destination: "/volume", Type: "bind", Source: volume, Options: []string{"rbind", "ro"}})
	})
	numbers := s.insidePids()
	old := s.pid()
	s.want(0, "", "checkpoint", s.id) // to ./checkpoint
	s.gone()
	// It has become our child, so it is for us to see its end.
	var ws unix.WaitStatus
	if _, err := unix.Wait4(old, &ws, 0, nil); err != nil || ws.Signal() != unix.SIGKILL {
		t.Errorf("its process: %v, %v", ws, err)
	}
	if info, err := os.Stat(filepath.Join(s.work, "checkpoint")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the images: %v, %v", info, err)
	}

	s.want(0, "", "restore", "--detach", "--pid-file", "pid", "--bundle", s.bundle, s.id)
	pid := s.pid()
	if now := s.count(pid); now < before {
		t.Errorf("it was at %d and is at %d", before, now)
	}
	if text, err := os.ReadFile(filepath.Join(s.work, "pid")); string(text) != strconv.Itoa(pid) {
		t.Errorf("pid file %q, %v; want %d", text, err, pid)
	}
	s.want(0, `"status": "running"`, "state", s.id)
	if again := s.insidePids(); !slices.Equal(again, numbers) || len(numbers) != 2 {
		t.Errorf("processes were %q and are %q", numbers, again)
	}
	sameLimits(t, pid, map[string]string{"memory.max": "67108864", "pids.max": "30", "cpu.max": "50000 100000"})
	for look, want := range map[string]string{
		"cat /volume/file": "of the machine\n",
		"touch /volume/x 2>/dev/null || echo read-only": "read-only\n",
		"hostname":              "counter\n",
		"cat /proc/keys":        "",
		"cat /proc/self/cgroup": "0::/\n",
		"cat /proc/1/cgroup":    "0::/\n",
		"ls /sys/firmware":      "",
	} {
		if got := s.want(0, "", "exec", s.id, "sh", "-c", look); got != want {
			t.Errorf("%s: %q, want %q", look, got, want)
		}
	}
	s.counts(s.count(pid))
	s.want(0, "", "pause", s.id)
	s.want(0, `"status": "paused"`, "state", s.id)
	s.want(0, "", "resume", s.id)
	s.want(0, "", "kill", s.id, "KILL")
	s.until(func() bool { stdout, _, _ := s.run("state", s.id); return strings.Contains(stdout, "stopped") })
	s.want(0, "", "delete", s.id)
	s.gone()
}

func sameLimits(t *testing.T, pid int, want map[string]string) {
	t.Helper()
	group := "/sys/fs/cgroup" + groupOf(t, strconv.Itoa(pid))
	for name, limit := range want {
		got, err := os.ReadFile(group + "/" + name)
		if err != nil || strings.TrimSpace(string(got)) != limit {
			t.Errorf("%s is %q, %v; want %s", name, got, err, limit)
		}
	}
}

// TestCheckpointLeaveRunning: it goes on, and what was written is of then.
func TestCheckpointLeaveRunning(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	s.runCounting(nil)
	s.want(0, "", "checkpoint", "--leave-running", "--image-path", "a/b", "--work-path", "w", s.id)
	then := s.counts(0)
	if _, err := os.Stat(filepath.Join(s.work, "w/dump.log")); err != nil {
		t.Error(err)
	}
	s.counts(then + 50)
	s.want(1, "already exists", "restore", "--detach", "--bundle", s.bundle, "--image-path", "a/b", s.id)
	s.want(0, "", "delete", "--force", s.id)
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, "--image-path", "a/b", "--work-path", "w", s.id)
	if now := s.count(s.pid()); now > then+40 {
		t.Errorf("it is at %d, and was at %d then", now, then)
	}
	// Whoever is paused is written, too, and comes back running.
	s.want(0, "", "pause", s.id)
	s.want(0, "", "checkpoint", "--image-path", "c", s.id)
	s.gone()
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, "--image-path", "c", s.id)
	s.counts(s.count(s.pid()))
}

// TestCheckpointRedirecting: the shell has its standard output under another
// number most of the time.
func TestCheckpointRedirecting(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	s.edit(func(p *specs.Spec) {
		p.Process.Args = []string{"sh", "-c", "n=0; while :; do echo $n >/dev/shm/n; n=$((n+1)); done"}
	})
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	n := s.counts(100)
	for range 4 {
		s.want(0, "", "checkpoint", s.id)
		s.gone()
		s.want(0, "", "restore", "--detach", "--bundle", s.bundle, s.id)
		n = s.counts(n)
	}
}

// TestCheckpointInterrupted: whenever the signal comes, there is the container
// or its checkpoint afterwards.
func TestCheckpointInterrupted(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	n := s.runCounting(nil)
	gaveUp := false
	for i := range 6 {
		images := fmt.Sprint("img", i)
		cmd := exec.Command(s.exe, "--root", s.root, "checkpoint", "--image-path", images, s.id)
		var said strings.Builder
		cmd.Dir, cmd.Stderr = s.work, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s.until(func() bool { _, err := os.Stat(filepath.Join(s.work, images, "dump.log")); return err == nil })
		time.Sleep(time.Duration(i) * 40 * time.Millisecond)
		if err := cmd.Process.Signal(unix.SIGINT); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		_, err := os.Lstat(filepath.Join(s.work, images, "descriptors.json"))
		switch cmd.ProcessState.ExitCode() {
		case 0:
			s.gone()
			s.want(0, "", "restore", "--detach", "--bundle", s.bundle, "--image-path", images, s.id)
		case 1:
			gaveUp = true
			if !strings.Contains(said.String(), "interrupt signal received") || strings.Count(said.String(), "\n") != 1 || err == nil {
				t.Errorf("%d: %s, descriptors: %v", i, said.String(), err)
			}
		default:
			t.Errorf("%d: %v", i, cmd.ProcessState)
		}
		n = s.counts(n)
	}
	if !gaveUp {
		t.Error("no signal came in time")
	}
}

func TestCheckpointPreDump(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	s.runCounting(nil)
	s.want(0, "", "checkpoint", "--pre-dump", "--image-path", "pre", s.id)
	n := s.counts(0)
	s.counts(n)
	s.want(1, "must be relative", "checkpoint", "--image-path", "img", "--parent-path", filepath.Join(s.work, "pre"), s.id)
	s.want(1, "invalid --parent-path", "checkpoint", "--image-path", "img", "--parent-path", "../none", s.id)
	s.want(0, "", "checkpoint", "--pre-dump", "--image-path", "pre2", "--parent-path", "../pre", s.id)
	s.want(0, "", "checkpoint", "--image-path", "img", "--parent-path", "../pre2", s.id)
	s.gone()
	if to, err := os.Readlink(filepath.Join(s.work, "img/parent")); err != nil || to != "../pre2" {
		t.Errorf("the parent of the images is %q, %v", to, err)
	}
	s.want(1, "is no checkpoint", "restore", "--detach", "--bundle", s.bundle, "--image-path", "pre", s.id)
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, "--image-path", "img", s.id)
	if now := s.count(s.pid()); now < n {
		t.Errorf("it was at %d and is at %d", n, now)
	}
}

// TestCheckpointUserNamespace: CRIU reads the images with the rights of the
// container's root, and nobody else may.
func TestCheckpointUserNamespace(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	if out, err := exec.Command("chown", "-R", "100000:100000", filepath.Join(s.bundle, "rootfs")).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v %s", err, out)
	}
	// Its root has to reach its files.
	for dir := s.bundle; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before := s.runCounting(func(p *specs.Spec) {
		p.Linux.Namespaces = append(p.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		p.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: 100000, Size: 65536}}
		p.Linux.GIDMappings = p.Linux.UIDMappings
	})
	s.want(0, "", "checkpoint", s.id)
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(s.work, "checkpoint"), &st); err != nil || st.Mode&0o777 != 0o710 || st.Gid != 100000 {
		t.Errorf("the images: mode %o, group %d, %v", st.Mode, st.Gid, err)
	}
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, s.id)
	if now := s.count(s.pid()); now < before {
		t.Errorf("it was at %d and is at %d", before, now)
	}
	s.counts(s.count(s.pid()))
}

// start runs a command with streams of the test's.
func (s *shell) start(in, out *os.File, args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(s.exe, append([]string{"--root", s.root}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = in, out, os.Stderr, s.work
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return cmd
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// TestCheckpointForeground: pipes are handed over, and the payload's end is
// that of restore.
func TestCheckpointForeground(t *testing.T) {
	needsCriu(t)
	s := newShell(t, `n=0; while read line; do n=$((n+1)); echo "$n $line"; [ $line != end ] || exit 7; done`)
	said := func(in, out *os.File, word, want string) {
		t.Helper()
		fmt.Fprintln(in, word)
		out.SetReadDeadline(time.Now().Add(20 * time.Second))
		if line, err := bufio.NewReader(out).ReadString('\n'); line != want+"\n" {
			t.Fatalf("it said %q, %v; want %q", line, err, want)
		}
	}
	inR, inW := pipe(t)
	outR, outW := pipe(t)
	run := s.start(inR, outW, "run", "--bundle", s.bundle, s.id)
	said(inW, outR, "a", "1 a")
	s.want(0, "", "checkpoint", "--image-path", "img", s.id)
	if run.Wait(); run.ProcessState.ExitCode() != 137 {
		t.Errorf("run ended with %v", run.ProcessState)
	}
	s.gone()
	text, err := os.ReadFile(filepath.Join(s.work, "img/descriptors.json"))
	var names []string
	if json.Unmarshal(text, &names) != nil || len(names) != 3 || !strings.HasPrefix(names[1], "pipe:[") {
		t.Errorf("descriptors.json: %s, %v", text, err)
	}
	inR, inW = pipe(t)
	outR, outW = pipe(t)
	restored := s.start(inR, outW, "restore", "--bundle", s.bundle, "--image-path", "img", s.id)
	said(inW, outR, "b", "2 b")
	said(inW, outR, "end", "3 end")
	if restored.Wait(); restored.ProcessState.ExitCode() != 7 {
		t.Errorf("restore ended with %v", restored.ProcessState)
	}
	s.gone()

	// Signals reach it, too.
	inR, inW = pipe(t)
	outR, outW = pipe(t)
	restored = s.start(inR, outW, "restore", "--bundle", s.bundle, "--image-path", "img", s.id)
	said(inW, outR, "b", "2 b")
	s.want(0, "", "kill", s.id, "KILL")
	if restored.Wait(); restored.ProcessState.ExitCode() != 137 {
		t.Errorf("restore of what was killed ended with %v", restored.ProcessState)
	}
	s.gone()
}

// TestCheckpointFiles: output goes on at the end of whatever file it is given.
func TestCheckpointFiles(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.05; done")
	open := func(name string, flags int) *os.File {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(s.work, name), os.O_WRONLY|os.O_CREATE|flags, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	// lines reads numbers until there are more than the given one.
	lines := func(name string, more int) (numbers []int) {
		t.Helper()
		s.until(func() bool {
			text, _ := os.ReadFile(filepath.Join(s.work, name))
			numbers = nil
			for line := range strings.Lines(string(text)) {
				var n int
				if _, err := fmt.Sscanf(line, "line %d\n", &n); err == nil {
					numbers = append(numbers, n)
				} else if strings.HasSuffix(line, "\n") && line != "before\n" {
					t.Fatalf("%s: %q", name, text)
				}
			}
			return len(numbers) > 0 && numbers[len(numbers)-1] > more
		})
		return numbers
	}
	if err := s.start(nil, open("first", os.O_TRUNC), "run", "--detach", "--bundle", s.bundle, s.id).Wait(); err != nil {
		t.Fatal(err)
	}
	lines("first", 5)
	s.want(0, "", "checkpoint", s.id)
	last := lines("first", 0)
	if err := os.WriteFile(filepath.Join(s.work, "second"), []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string]int{"second": os.O_APPEND, "third": os.O_TRUNC, "first": os.O_APPEND} {
		if err := s.start(nil, open(name, flags), "restore", "--detach", "--bundle", s.bundle, s.id).Wait(); err != nil {
			t.Fatal(err)
		}
		n := len(last)
		got := lines(name, n+5)
		if name == "first" { // its own beginning is there, too
			got = got[len(last):]
		}
		if got[0] != n+1 {
			t.Errorf("%s goes on with %v after %v", name, got, last)
		}
		s.want(0, "", "delete", "--force", s.id)
	}
	if text, err := os.ReadFile(filepath.Join(s.work, "second")); !strings.HasPrefix(string(text), "before\n") {
		t.Errorf("second: %q, %v", text, err)
	}
}

// TestCheckpointTerminal: a new master for the old terminal.
func TestCheckpointTerminal(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	s.edit(func(p *specs.Spec) {
		p.Process.Args = []string{"sh", "-c", `stty -echo; n=0; echo ready; while read line; do n=$((n+1)); echo "$n $line"; done`}
		p.Process.Terminal = true
	})
	path := filepath.Join(s.work, "console")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	shows := func(master *os.File, want string) {
		t.Helper()
		var got []byte
		for buf := make([]byte, 100); !strings.HasSuffix(string(got), want+"\r\n"); {
			n, err := master.Read(buf)
			if err != nil {
				t.Fatalf("%v after %q", err, got)
			}
			got = append(got, buf[:n]...)
		}
	}
	s.want(0, "", "run", "--detach", "--console-socket", path, "--bundle", s.bundle, s.id)
	master := receiveMaster(t, l)
	shows(master, "ready")
	master.WriteString("a\n")
	shows(master, "1 a")
	s.want(0, "", "checkpoint", s.id)
	s.gone()
	s.want(1, "console socket", "restore", "--detach", "--bundle", s.bundle, s.id)
	s.want(0, "", "restore", "--detach", "--console-socket", path, "--bundle", s.bundle, s.id)
	master = receiveMaster(t, l)
	master.WriteString("b\n")
	shows(master, "2 b")
}

func TestCheckpointHooks(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	log := filepath.Join(s.work, "hooks")
	hook := func(name string) []specs.Hook {
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", `echo ` + name + ` $(grep -o '"status":"[a-z]*"') >>` + log}}}
	}
	s.runCounting(func(p *specs.Spec) {
		p.Hooks = &specs.Hooks{
			//lint:ignore SA1019 prestart hooks are deprecated and must still run
			Prestart:      hook("prestart"),
			CreateRuntime: hook("createRuntime"), CreateContainer: hook("createContainer"),
			Poststart: hook("poststart"), Poststop: hook("poststop"),
		}
	})
	heard := func(want string) {
		t.Helper()
		text, err := os.ReadFile(log)
		if got := strings.ReplaceAll(strings.TrimSpace(string(text)), `"status":`, ""); got != want || err != nil {
			t.Errorf("hooks: %s, %v; want %s", got, err, want)
		}
		os.Remove(log)
	}
	heard("prestart \"created\"\ncreateRuntime \"created\"\ncreateContainer \"created\"\npoststart \"running\"")
	s.want(0, "", "checkpoint", s.id)
	heard("poststop \"stopped\"")
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, s.id)
	heard("prestart \"created\"\ncreateRuntime \"created\"\npoststart \"running\"")
	s.want(0, "", "delete", "--force", s.id)
	heard("poststop \"stopped\"")
}

// TestCheckpointNetwork: a network namespace that is the container's own comes
// back with its loopback up; one that was joined is the same.
func TestCheckpointNetwork(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	s.runCounting(nil)
	s.want(0, "", "checkpoint", s.id)
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, s.id)
	up := s.want(0, "", "exec", s.id, "cat", "/sys/class/net/lo/flags", "/sys/class/net/lo/operstate")
	if up != "0x9\nunknown\n" {
		t.Errorf("lo is %q", up)
	}
	s.want(0, "", "delete", "--force", s.id)

	other := exec.Command("unshare", "--net", "sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	defer other.Process.Kill()
	ns := fmt.Sprintf("/proc/%d/ns/net", other.Process.Pid)
	self, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	s.until(func() bool { to, _ := os.Readlink(ns); return to != "" && to != self })
	s.runCounting(func(p *specs.Spec) {
		for i := range p.Linux.Namespaces {
			if n := &p.Linux.Namespaces[i]; n.Type == specs.NetworkNamespace {
				n.Path = ns
			}
		}
	})
	s.want(0, "", "checkpoint", s.id)
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, s.id)
	want, _ := os.Readlink(ns)
	if got, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", s.pid())); got != want {
		t.Errorf("it is in %s, %v; want %s", got, err, want)
	}
}

// oneLine wants a failure told in one line.
func (s *shell) oneLine(part string, args ...string) {
	s.t.Helper()
	stdout, stderr, code := s.run(args...)
	if code != 1 || stdout != "" || !strings.Contains(stderr, part) || strings.Count(stderr, "\n") != 1 {
		s.t.Errorf("%q: status %d, %q; want one line with %q", args, code, stdout+stderr, part)
	}
}

// TestCheckpointRefused: what is wrong is said in one line, and nothing is left.
func TestCheckpointRefused(t *testing.T) {
	fixture.Need(t, "criu")
	s := newShell(t, "sleep 100")
	restore := func(more ...string) []string {
		return append([]string{"restore", "--detach", "--bundle", s.bundle, "--image-path"}, append(more, s.id)...)
	}
	s.oneLine("does not exist", "checkpoint", s.id)
	s.oneLine("no such file or directory", restore("none")...)
	if err := os.WriteFile(filepath.Join(s.work, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.oneLine("not a directory", restore("file")...)
	if err := os.Mkdir(filepath.Join(s.work, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.oneLine("is no checkpoint of a container: it has no inventory.img", restore("empty")...)
	s.oneLine("manage-cgroups-mode", restore("empty", "--manage-cgroups-mode", "odd")...)
	s.oneLine("not supported", restore("empty", "--empty-ns", "pid")...)
	s.gone()

	s.want(0, "", "create", "--bundle", s.bundle, s.id)
	s.oneLine("container cannot be checkpointed in created state", "checkpoint", s.id)
	s.oneLine("already exists", restore("empty")...)
	s.want(0, "", "start", s.id)
	s.oneLine("not a directory", "checkpoint", "--image-path", "file", s.id)
	s.oneLine("give ADDRESS:PORT", "checkpoint", "--page-server", "x", s.id)
	s.oneLine("--status-fd", "checkpoint", "--lazy-pages", "--status-fd", "99", s.id)
	s.oneLine("give --page-server ADDRESS:PORT", "checkpoint", "--lazy-pages", s.id)
	s.env = append(s.env, "PATH=/none")
	s.oneLine("criu is not installed", "checkpoint", s.id)
	s.want(0, `"status": "running"`, "state", s.id)
	s.want(0, "", "delete", "--force", s.id)
	s.oneLine("criu is not installed", restore("empty")...)
	s.gone()
	for _, name := range []string{"checkpoint", "none"} {
		if _, err := os.Lstat(filepath.Join(s.work, name)); err == nil {
			t.Errorf("%s was made", name)
		}
	}
}

// TestCheckpointKernel: where CRIU is there and does not work, a line says why,
// whatever runc's flags ask for.
func TestCheckpointKernel(t *testing.T) {
	fixture.Need(t, "criu")
	if exec.Command("criu", "check").Run() == nil {
		t.Skip("criu works on this kernel")
	}
	s := newShell(t, "sleep 100")
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	if err := os.Mkdir(filepath.Join(s.work, "p"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.oneLine("criu does not work on kernel ", "checkpoint", "--image-path", "i", "--work-path", "w", "--parent-path", "../p", "--leave-running",
		"--tcp-established", "--tcp-skip-in-flight", "--ext-unix-sk", "--shell-job", "--file-locks", "--pre-dump", "--lazy-pages", "--page-server", "h:1",
		"--manage-cgroups-mode", "soft", "--empty-ns", "network", "--auto-dedup", "--link-remap", s.id)
	s.want(0, `"status": "running"`, "state", s.id)
	if _, err := os.Lstat(filepath.Join(s.work, "i")); err == nil {
		t.Error("it left a directory for images")
	}
	for _, name := range []string{"inventory.img", "descriptors.json"} {
		if err := os.WriteFile(filepath.Join(s.work, "p", name), []byte("[]"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.want(0, "", "delete", "--force", s.id)
	s.oneLine("criu does not work on kernel ", "restore", "--image-path", "p", "--work-path", "w", "--bundle", s.bundle, "--detach", "--pid-file", "f",
		"--tcp-established", "--tcp-close", "--ext-unix-sk", "--shell-job", "--file-locks", "--manage-cgroups-mode", "full", "--auto-dedup",
		"--lazy-pages", "--lsm-profile", "apparmor:x", "--lsm-mount-context", "x", "--no-pivot", "--no-subreaper", s.id)
	s.gone()
}

// TestCheckpointFails: a container that CRIU cannot write goes on, and images
// that it cannot read leave nothing. Its own words and its log say why.
func TestCheckpointFails(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	s.edit(func(p *specs.Spec) { p.Process.Args = []string{"sh", "-c", counting} })
	// The other end of this socket is outside.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	if err := s.start(nil, theirs, "run", "--detach", "--bundle", s.bundle, s.id).Wait(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	n := s.counts(10)
	s.oneLine("(the whole log is in "+s.work+"/img/dump.log)", "checkpoint", "--image-path", "img", s.id)
	s.oneLine("unix: ", "checkpoint", "--image-path", "img", s.id)
	if _, err := os.Lstat(filepath.Join(s.work, "img/descriptors.json")); err == nil {
		t.Error("what is no checkpoint looks like one")
	}
	s.counts(n)
	s.want(0, "", "delete", "--force", s.id)

	s.runCounting(nil)
	s.want(0, "", "checkpoint", "--image-path", "img", s.id)
	if err := os.Remove(filepath.Join(s.work, "img/mm-1.img")); err != nil {
		t.Fatal(err)
	}
	s.oneLine("(the whole log is in "+s.work+"/w/restore.log)", "restore", "--detach", "--bundle", s.bundle, "--image-path", "img", "--work-path", "w", s.id)
	s.gone()
	if _, err := oci.LoadBundle(s.bundle); err != nil {
		t.Errorf("the bundle: %v", err)
	}
}
