package server

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/internal/fault"
)

// killMonitor ends the monitor the hard way and waits until it is gone.
func (b *box) killMonitor() container.Status {
	b.t.Helper()
	s := b.status()
	if err := syscall.Kill(s.MonitorPid, syscall.SIGKILL); err != nil {
		b.t.Fatal(err)
	}
	eventually(b.t, "the monitor's death", func() bool { return !s.MonitorAlive() })
	return s
}

func TestAdoptKeepsThePayload(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	script := `trap 'exit 42' TERM; i=0; while :; do i=$((i+1)); echo $i; test -e ` + flag + ` && { echo end; exit 42; }; sleep 0.01; done`
	b := newBox(t, nil, "/bin/sh", "-c", script)
	b.start(monitor.AttachOptions{}).Close()
	eventually(t, "some output", func() bool { return strings.Contains(b.log(), "3\n") })
	old := b.killMonitor()

	c, err := monitor.Ensure(soon(t), exe(t), b.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := b.status()
	if s.State != container.Running || s.Pid != old.Pid || s.MonitorPid == old.MonitorPid || !strings.Contains(s.Note, "adopted") {
		t.Errorf("status %+v", s)
	}
	var out lockedBuffer
	if err := c.Attach(soon(t), monitor.AttachOptions{Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "output through the adopter", func() bool { return out.Len() > 0 })
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	exit, err := c.Wait(soon(t))
	if err != nil || exit.Code != 42 {
		t.Errorf("wait: %+v, %v", exit, err)
	}
	t.Logf("wait answered after %v", time.Since(began))
	if !strings.HasSuffix(out.String(), "end\n") {
		t.Errorf("output ends with %q", tailOf(out.String()))
	}
	checkCount(t, b.log())
}

// checkCount accepts a sequence that lacks at most what one frame holds.
func checkCount(t *testing.T, log string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(log, "end\n"), "\n")
	if len(lines) < 3 || lines[0] != "1" || !strings.HasSuffix(log, "end\n") {
		t.Errorf("log begins with %q, ends with %q", lines[0], tailOf(log))
	}
}

func tailOf(s string) string { return s[max(0, len(s)-40):] }

func TestAdoptOnlyOnce(t *testing.T) {
	b := newBox(t, nil, "/bin/sleep", "60")
	b.start(monitor.AttachOptions{}).Close()
	b.killMonitor()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c, err := monitor.Ensure(soon(t), exe(t), b.dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if _, err := c.Status(soon(t)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s := b.status(); strings.Count(s.Note, "adopted at") != 1 {
		t.Errorf("note %q", s.Note)
	}
	c, err := monitor.Dial(soon(t), b.cfg.RunDir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Signal(soon(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if exit, err := c.Wait(soon(t)); err != nil || exit.Code != 137 {
		t.Errorf("wait: %+v, %v", exit, err)
	}
}

func TestAdoptTerminalIsEnded(t *testing.T) {
	b := newBox(t, func(c *monitor.Config) { c.TTY, c.OpenStdin = true, true }, "/bin/sh", "-c", "trap '' HUP; echo ready; while :; do sleep 0.05; done")
	b.start(monitor.AttachOptions{}).Close()
	eventually(t, "the payload is ready", func() bool { return strings.Contains(b.log(), "ready") })
	b.killMonitor()
	exit, err := monitor.Await(soon(t), exe(t), b.dir)
	if err != nil || !strings.Contains(exit.Cause, "terminal") || exit.Code != 137 && exit.Code != 129 {
		t.Errorf("await: %+v, %v", exit, err)
	}
	if s := b.status(); s.State != container.Exited || !strings.Contains(s.Note, "terminal") {
		t.Errorf("status %+v", s)
	}
}

// The payload dies while there is no monitor.
func TestEnsureBuriesTheDead(t *testing.T) {
	b := newBox(t, nil, "/bin/sleep", "60")
	c := b.start(monitor.AttachOptions{})
	waited := make(chan error, 1)
	ctx := soon(t)
	go func() {
		_, err := c.Wait(ctx)
		waited <- err
	}()
	s := b.killMonitor()
	select {
	case err := <-waited:
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("wait on the dead monitor: %v", err)
		}
	case <-time.After(time.Second):
		t.Error("wait did not answer within a second")
	}
	if err := syscall.Kill(s.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the payload's death", func() bool { return !s.Alive() })
	if _, err := monitor.Ensure(soon(t), exe(t), b.dir); !errors.Is(err, fault.NotRunning) {
		t.Errorf("ensure: %v", err)
	}
	s = b.status()
	if s.State != container.Exited || s.Exit == nil || !s.Exit.Unknown || s.Exit.Code != 255 || s.Note == "" {
		t.Errorf("status %+v", s)
	}
	if exit, err := monitor.Await(soon(t), exe(t), b.dir); err != nil || exit.Code != 255 {
		t.Errorf("await: %+v, %v", exit, err)
	}
}

func TestAwaitSurvivesTheMonitor(t *testing.T) {
	b := newBox(t, nil, "/bin/sh", "-c", "sleep 0.5; exit 7")
	b.start(monitor.AttachOptions{}).Close()
	got := make(chan container.ExitStatus, 1)
	ctx := soon(t)
	go func() {
		exit, err := monitor.Await(ctx, os.Args[0], b.dir)
		if err != nil {
			t.Error(err)
		}
		got <- exit
	}()
	b.killMonitor()
	if exit := <-got; exit.Code != 7 {
		t.Errorf("await: %+v", exit)
	}
}

func TestAdoptKeepsTheRestartPolicy(t *testing.T) {
	b := newBox(t, func(c *monitor.Config) { c.Restart = container.RestartPolicy{Name: "always"} }, "/bin/sleep", "60")
	b.start(monitor.AttachOptions{}).Close()
	old := b.killMonitor()
	c, err := monitor.Ensure(soon(t), exe(t), b.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Signal(soon(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a restart", func() bool { s := b.status(); return s.State == container.Running && s.Pid != old.Pid })
	if err := c.StopRestarting(soon(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the signal arrives", func() bool { return c.Signal(soon(t), syscall.SIGKILL) == nil })
	if exit, err := c.Wait(soon(t)); err != nil || exit.Code != 137 {
		t.Errorf("wait: %+v, %v", exit, err)
	}
}

// Somebody wiped /run: the container can still be stopped and waited for.
func TestAdoptWithoutRunDirectory(t *testing.T) {
	b := newBox(t, nil, "/bin/sleep", "60")
	b.start(monitor.AttachOptions{}).Close()
	b.killMonitor()
	if err := os.RemoveAll(b.cfg.RunDir); err != nil {
		t.Fatal(err)
	}
	c, err := monitor.Ensure(soon(t), exe(t), b.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if s := b.status(); !strings.Contains(s.Note, "output is lost") {
		t.Errorf("note %q", s.Note)
	}
	b.kill(c)
}

// The log of a killed monitor is continued behind its last whole line, and
// what the payload wrote meanwhile is not lost.
func TestAdoptContinuesTheLog(t *testing.T) {
	b := newBox(t, nil)
	gates := []string{filepath.Join(b.dir, "gate1"), filepath.Join(b.dir, "gate2")}
	for _, g := range gates {
		if err := syscall.Mkfifo(g, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.write("fake.json", payload{Args: append([]string{"/bin/sh", "-c", "echo one; read x <$0; echo two; read x <$1; echo three"}, gates...)})
	talk := func(gate string) {
		t.Helper()
		if err := os.WriteFile(gate, []byte("\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.start(monitor.AttachOptions{}).Close()
	eventually(t, "the first line", func() bool { return b.log() == "one\n" })
	b.killMonitor()
	f, err := os.OpenFile(b.cfg.LogFile, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"log":"half a li`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	talk(gates[0])
	c, err := monitor.Ensure(soon(t), exe(t), b.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	talk(gates[1])
	if exit, err := c.Wait(soon(t)); err != nil || exit.Code != 0 {
		t.Errorf("wait: %+v, %v", exit, err)
	}
	if got := b.log(); got != "one\ntwo\nthree\n" {
		t.Errorf("log %q", got)
	}
}

// A command that comes in the very moment of the monitor's death, when its
// socket may answer for the last time and its process is still listed.
func TestEnsureWhileTheMonitorDies(t *testing.T) {
	var wg sync.WaitGroup
	var stop atomic.Bool
	for range 2 * runtime.NumCPU() { // a kernel with much to do takes its time to bury
		wg.Go(func() {
			for !stop.Load() {
			}
		})
	}
	defer wg.Wait()
	defer stop.Store(true)
	for range 20 {
		b := newBox(t, nil, "/bin/sleep", "60")
		b.start(monitor.AttachOptions{}).Close()
		if err := syscall.Kill(b.status().MonitorPid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		c, err := monitor.Ensure(soon(t), exe(t), b.dir)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Status(soon(t))
		if err != nil || strings.Count(s.Note, "adopted at") != 1 {
			t.Errorf("status %+v, %v", s, err)
		}
		b.kill(c)
		c.Close()
	}
}
