package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/fixture"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestClientKilled: the container does not notice, and --rm is honoured.
func TestClientKilled(t *testing.T) {
	e := newEngine(t)
	cmd := e.command(t.Context(), "run", "--rm", "--name", "widow", "host", "sleep", "3600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "widow runs", func() bool { return e.run("ps", "-q").out != "" })
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	pid := e.ok("inspect", "--format", "{{.State.Pid}}", "widow")
	if err := unix.Kill(atoi(t, pid), 0); err != nil {
		t.Fatalf("payload %s after the client's death: %v", pid, err)
	}
	e.ok("kill", "widow")
	eventually(t, "widow is removed", func() bool { return e.run("ps", "-aq").out == "" })
}

// TestMonitorKilled: the payload runs on, the next command adopts it, and its
// exit code is seen.
func TestMonitorKilled(t *testing.T) {
	e := newEngine(t)
	e.ok("run", "-d", "-i", "--name", "ward", "host", "sh", "-c",
		"trap 'echo caught; exit 42' TERM; echo up; while :; do sleep 0.05; done")
	eventually(t, "ward has said up", func() bool { return e.run("logs", "ward").out == "up" })
	pid := e.ok("inspect", "--format", "{{.State.Pid}}", "ward")

	monitor := monitorOf(t, atoi(t, pid))
	if err := unix.Kill(monitor, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := e.ok("inspect", "--format", "{{.State.Status}} {{.State.Pid}}", "ward"); got != "running "+pid {
		t.Errorf("after the monitor's death inspect says %q, want running %s", got, pid)
	}
	e.ok("kill", "-s", "TERM", "ward")
	code := e.ok("wait", "ward")
	if code != "42" && code != "255" {
		t.Errorf("wait says %q, want 42, or 255 on a kernel that does not tell", code)
	}
	if got := e.ok("logs", "ward"); got != "up\ncaught" {
		t.Errorf("the log is %q", got)
	}
}

// monitorOf is the payload's parent.
func monitorOf(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "PPid:\t")
	parent, _, _ := strings.Cut(rest, "\n")
	return atoi(t, parent)
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestTerminalVanishes: closing the terminal of an attached client leaves the
// container alone.
func TestTerminalVanishes(t *testing.T) {
	e := newEngine(t)
	e.ok("run", "-dit", "--name", "shell", "host", "sh")
	tty := fixture.Pty(t, e.command(t.Context(), "attach", "shell"))
	tty.SendUntil("echo a''live\n", "alive")
	tty.Hangup()
	if got := e.ok("inspect", "--format", "{{.State.Status}}", "shell"); got != "running" {
		t.Errorf("after the hang-up the container is %s", got)
	}
}
