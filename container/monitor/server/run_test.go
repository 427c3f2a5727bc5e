package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/logfile"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/test/fixture"
)

func TestRunExitCodes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script string
		want   container.ExitStatus
	}{
		{"success", "exit 0", container.ExitStatus{}},
		{"code", "exit 42", container.ExitStatus{Code: 42}},
		{"killed", "kill -KILL $$", container.ExitStatus{Code: 137, Signal: 9, Cause: "killed by SIGKILL"}},
		{"terminated", "kill -TERM $$", container.ExitStatus{Code: 143, Signal: 15, Cause: "killed by SIGTERM"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, nil, "/bin/sh", "-c", tt.script)
			got, err := b.start(monitor.AttachOptions{}).Wait(soon(t))
			if err != nil || got != tt.want {
				t.Fatalf("wait: %+v, %v; want %+v", got, err, tt.want)
			}
			s := b.status()
			if s.State != container.Exited || s.Exit == nil || *s.Exit != tt.want || s.Pid != 0 || s.MonitorPid != 0 {
				t.Errorf("status: %+v", s)
			}
		})
	}
}

func TestRunOutputIsCompleteBeforeTheEnd(t *testing.T) {
	b := newBox(t, nil, "/bin/sh", "-c", "echo out; echo err >&2; printf last")
	var out, errs bytes.Buffer
	c := b.start(monitor.AttachOptions{Stdout: &out, Stderr: &errs})
	if _, err := c.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	if out.String() != "out\nlast" || errs.String() != "err\n" {
		t.Errorf("got %q and %q", out.String(), errs.String())
	}
	if got := b.log(); got != "out\nerr\nlast" && got != "err\nout\nlast" {
		t.Errorf("log: %q", got)
	}
}

// log is all of the log's text.
func (b *box) log() string {
	b.t.Helper()
	var all strings.Builder
	err := logfile.Read(b.t.Context(), b.cfg.LogFile, logfile.ReadOptions{}, func(e logfile.Entry) error {
		all.Write(e.Line)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all.String()
}

func TestRunStdinEOF(t *testing.T) {
	b := newBox(t, func(c *monitor.Config) { c.OpenStdin, c.StdinOnce = true, true }, "/bin/cat")
	want := strings.Repeat("some input that is much longer than the window\n", 20_000)
	var out bytes.Buffer
	c := b.start(monitor.AttachOptions{Stdin: strings.NewReader(want), Stdout: &out})
	exit, err := c.Wait(soon(t))
	if err != nil || exit.Code != 0 {
		t.Fatalf("wait: %+v, %v", exit, err)
	}
	if out.String() != want {
		t.Errorf("got %d bytes back, want %d", out.Len(), len(want))
	}
}

func TestRunStdinOfLeavingClientEnds(t *testing.T) {
	b := newBox(t, func(c *monitor.Config) { c.OpenStdin, c.StdinOnce = true, true }, "/bin/cat")
	r, w := io.Pipe()
	defer w.Close()
	c := b.start(monitor.AttachOptions{Stdin: r})
	c.Close()
	eventually(t, "cat ends", func() bool { return b.status().State == container.Exited })
}

func TestRunStdinStaysWithoutOnce(t *testing.T) {
	b := newBox(t, func(c *monitor.Config) { c.OpenStdin = true }, "/bin/sh", "-c", "read a; read b; echo $a $b")
	c := b.start(monitor.AttachOptions{Stdin: strings.NewReader("one\n")})
	c2, err := monitor.Dial(soon(t), b.cfg.RunDir)
	if err != nil {
		t.Fatal(err)
	}
	defer c2.Close()
	eventually(t, "the first line is taken", func() bool { return true })
	if err := c2.Attach(soon(t), monitor.AttachOptions{Stdin: strings.NewReader("two\n")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	if got := b.log(); got != "one two\n" && got != "two one\n" {
		t.Errorf("log: %q", got)
	}
}

func TestRunSignalPassesUnreadInput(t *testing.T) {
	b := newBox(t, func(c *monitor.Config) { c.OpenStdin, c.StdinOnce = true, true }, "/bin/sleep", "60")
	c := b.start(monitor.AttachOptions{Stdin: zeros{}})
	if err := c.Signal(soon(t), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if exit, err := c.Wait(soon(t)); err != nil || exit.Signal != 15 {
		t.Fatalf("wait: %+v, %v", exit, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestRunTerminal(t *testing.T) {
	b := newBox(t, func(c *monitor.Config) { c.TTY, c.OpenStdin = true, true }, "/bin/sh", "-c", "stty size; read x; stty size; echo got $x")
	var out lockedBuffer
	r, w := io.Pipe()
	c := b.start(monitor.AttachOptions{Stdin: r, Stdout: &out, Rows: 33, Cols: 101})
	eventually(t, "the first size", func() bool { return strings.Contains(out.String(), "33 101\r\n") })
	if err := c.Resize(soon(t), 20, 60); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if exit, err := c.Wait(soon(t)); err != nil || exit.Code != 0 {
		t.Fatalf("wait: %+v, %v", exit, err)
	}
	if got := out.String(); !strings.Contains(got, "20 60\r\n") || !strings.HasSuffix(got, "got hello\r\n") {
		t.Errorf("output %q", got)
	}
	w.Close()
}

func TestRunStartFailure(t *testing.T) {
	for _, p := range []payload{
		{CreateErr: "no such program", Errno: syscall.ENOENT, Code: 127},
		{StartErr: "exec format", Errno: syscall.ENOEXEC, Code: 126, Args: []string{"/bin/true"}},
	} {
		b := newBoxOf(t, nil, p)
		c := b.spawn()
		err := c.Start(soon(t), monitor.AttachOptions{})
		var coded interface{ ExitCode() int }
		if !errors.Is(err, fault.NotFound) || !errors.Is(err, p.Errno) || !errors.As(err, &coded) || coded.ExitCode() != p.Code {
			t.Fatalf("start: %v (%T)", err, err)
		}
		s := b.status()
		if s.State != container.Created || s.Exit == nil || s.Exit.Code != p.Code || s.Error == "" {
			t.Errorf("status: %+v", s)
		}
		eventually(t, "the socket goes away", func() bool {
			left, err := os.ReadDir(b.cfg.RunDir)
			return err == nil && len(left) == 0
		})
		if _, err := os.Stat(filepath.Join(b.dir, "fake.pid")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the container was not deleted: %v", err)
		}
	}
}

func TestRunUnusedMonitorEnds(t *testing.T) {
	b := newBox(t, nil, "/bin/true")
	c := b.spawn()
	eventually(t, "the socket", func() bool {
		_, err := os.Stat(filepath.Join(b.cfg.RunDir, "ctl.sock"))
		return err == nil
	})
	st, err := os.Stat(filepath.Join(b.cfg.RunDir, "ctl.sock"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", st.Mode(), err)
	}
	c.Close()
	eventually(t, "the monitor's end", func() bool {
		_, err := os.Stat(filepath.Join(b.cfg.RunDir, "ctl.sock"))
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestRunOOM(t *testing.T) {
	for victims, want := range map[string]string{"": "the kernel killed a process", "a b": "the kernel killed a, b", "a b c d e f g": "killed a, b, c, d, e and 2 more"} {
		b := newBox(t, nil, "/bin/sh", "-c", "kill -9 $$")
		if err := os.WriteFile(filepath.Join(b.dir, "oom"), []byte(victims), 0o600); err != nil {
			t.Fatal(err)
		}
		exit, err := b.start(monitor.AttachOptions{}).Wait(soon(t))
		if err != nil || !exit.OOMKilled || exit.Code != 137 || !strings.HasSuffix(exit.Cause, want) {
			t.Errorf("wait: %+v, %v; want %q", exit, err, want)
		}
	}
}

func TestRunPause(t *testing.T) {
	b := newBox(t, nil, "/bin/sleep", "60")
	c := b.start(monitor.AttachOptions{})
	if err := c.Pause(soon(t)); err != nil {
		t.Fatal(err)
	}
	if s := b.status(); s.State != container.Paused {
		t.Errorf("state %s", s.State)
	}
	if err := c.Pause(soon(t)); !errors.Is(err, fault.Conflict) {
		t.Errorf("second pause: %v", err)
	}
	if err := c.Signal(soon(t), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if exit, err := c.Wait(soon(t)); err != nil || exit.Signal != 15 {
		t.Errorf("wait: %+v, %v", exit, err)
	}
	if err := c.Signal(soon(t), syscall.SIGTERM); !errors.Is(err, fault.NotRunning) && !errors.Is(err, fault.Unavailable) {
		t.Errorf("signal after the end: %v", err)
	}
}

func TestRunRestartOnFailure(t *testing.T) {
	b := newBox(t, func(c *monitor.Config) { c.Restart = container.RestartPolicy{Name: "on-failure", MaxRetries: 2} },
		"/bin/sh", "-c", "echo once; exit 3")
	var out bytes.Buffer
	exit, err := b.start(monitor.AttachOptions{Stdout: &out}).Wait(soon(t))
	if err != nil || exit.Code != 3 {
		t.Fatalf("wait: %+v, %v", exit, err)
	}
	if s := b.status(); s.RestartCount != 2 || s.State != container.Exited {
		t.Errorf("status %+v", s)
	}
	if out.String() != strings.Repeat("once\n", 3) {
		t.Errorf("output %q", out.String())
	}
}

func TestRunStopEndsTheBackoff(t *testing.T) {
	b := newBox(t, func(c *monitor.Config) { c.Restart = container.RestartPolicy{Name: "always"} }, "/bin/false")
	c := b.start(monitor.AttachOptions{})
	eventually(t, "a few restarts", func() bool { return b.status().RestartCount >= 2 })
	began := time.Now()
	if err := c.StopRestarting(soon(t)); err != nil {
		t.Fatal(err)
	}
	if exit, err := c.Wait(soon(t)); err != nil || exit.Code != 1 {
		t.Fatalf("wait: %+v, %v", exit, err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("stop took %v", took)
	}
	if s := b.status(); !s.Stopped || s.State != container.Exited {
		t.Errorf("status %+v", s)
	}
}

// The monitor has nothing of its caller's: no descriptors, no environment.
func TestRunInheritsNothing(t *testing.T) {
	fd, err := syscall.Open("/etc/passwd", syscall.O_RDONLY, 0) // not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	t.Setenv("SECRET", "must not be seen")
	b := newBox(t, nil, "/bin/sleep", "60")
	c := b.start(monitor.AttachOptions{})
	proc := fmt.Sprintf("/proc/%d/", b.status().MonitorPid)
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range fds {
		to, err := os.Readlink(proc + "fd/" + e.Name())
		known := []string{"/dev/null", "anon_inode:", "pidfd:", "socket:", b.cfg.RunDir + "/", b.cfg.LogFile}
		if err == nil && !slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(to, k) }) {
			t.Errorf("descriptor %s is %s", e.Name(), to)
		}
	}
	env, err := os.ReadFile(proc + "environ")
	if err != nil || bytes.Contains(env, []byte("SECRET")) || bytes.Contains(env, []byte("HOME")) {
		t.Errorf("environment %q, %v", env, err)
	}
	name, err := os.ReadFile(proc + "comm")
	if err != nil || string(name) != "berth-monitor\n" {
		t.Errorf("name %q, %v", name, err)
	}
	exe, err := os.Readlink(proc + "exe")
	t.Logf("runs from %s, %v", exe, err)
	b.kill(c)
}

// A payload has what its monitor has, and that one what its maker began with.
func TestTimerSlackOfTheMonitor(t *testing.T) {
	usual := fixture.LateThread(t)
	b := newBox(t, nil, "/bin/cat", "/proc/self/timerslack_ns")
	var out bytes.Buffer
	if _, err := b.start(monitor.AttachOptions{Stdout: &out}).Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(out.String()); got != usual {
		t.Errorf("the payload's timer slack is %q, ours %q", got, usual)
	}
}
