package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A container made with --rm is gone when stop or kill returns, as when run
// does: scripts give the next one its name.
func TestFleetingIsGone(t *testing.T) {
	e := newEngine(t)
	for _, end := range [][]string{{"stop", "-t", "0"}, {"stop", "-t", "5", "-s", "KILL"}, {"kill"}, {"rm", "-f"}} {
		t.Run(strings.Join(end, " "), func(t *testing.T) {
			e := e.in(t)
			for range 10 {
				e.ok("run", "-d", "--rm", "--name", "fleeting", "host", "sleep", "600")
				e.ok(append(end, "fleeting")...)
				if r := e.run("inspect", "fleeting"); r.code != 1 {
					t.Fatalf("it is still there: %s", r)
				}
			}
		})
	}
}

// What a monitor calls when it has nobody else may come when all has gone, the
// engine's directory too: it does not make it again.
func TestReapComesLate(t *testing.T) {
	e := newEngine(t)
	if r := e.run("reap", strings.Repeat("a", 64)); r.code != 0 || r.out+r.err != "" {
		t.Errorf("reap: %s", r)
	}
	if _, err := os.Stat(e.root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", e.root, err)
	}
}

// A restart is not the end that --rm speaks of: the container keeps its files.
func TestFleetingIsRestarted(t *testing.T) {
	e := newEngine(t)
	payload := []string{"host", "sh", "-c", "echo line >> /lines; exec sleep 600"}
	for _, tt := range []struct {
		name   string
		attach bool
	}{{"detached", false}, {"with a client", true}} {
		t.Run(tt.name, func(t *testing.T) {
			e := e.in(t)
			client := make(chan error, 1)
			if tt.attach {
				cmd := e.command(t.Context(), append([]string{"run", "--rm", "--name", "again"}, payload...)...)
				var errs bytes.Buffer
				cmd.Stderr = &errs
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				go func() {
					err := cmd.Wait()
					t.Logf("the client: %v %s", err, errs.String())
					client <- err
				}()
			} else {
				e.ok(append([]string{"run", "-d", "--rm", "--name", "again"}, payload...)...)
				client <- nil
			}
			lines := func() string { return e.run("exec", "again", "cat", "/lines").out }
			eventually(t, "the first line", func() bool { return lines() == "line" })
			for range 3 {
				e.ok("restart", "-t", "0", "again")
			}
			select {
			case <-client:
			case <-time.After(10 * time.Second):
				t.Error("the client of the first run did not end with it")
			}
			eventually(t, "four lines", func() bool { return strings.Count(lines(), "line") == 4 })
			e.ok("stop", "-t", "0", "again")
			if r := e.run("inspect", "again"); r.code != 1 {
				t.Errorf("after the end it is still there: %s", r)
			}
		})
	}
}

// Who reads an exec's output through a pipe sees its end when the client is
// killed, as with docker: timeout(1) would otherwise not help. The process
// goes on.
func TestExecLetsGo(t *testing.T) {
	e := newEngine(t)
	e.ok("run", "-d", "--name", "slow", "host", "sleep", "600")
	cmd := e.command(t.Context(), "exec", "slow", "sh", "-c", "echo begun; exec sleep 601")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 6)
	if _, err := io.ReadFull(out, line); err != nil || string(line) != "begun\n" {
		t.Fatalf("%q %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	end := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(out)
		end <- err
	}()
	select {
	case err := <-end:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the pipe is held open")
	}
	cmd.Wait()
	if got := e.ok("top", "slow", "-o", "pid,args"); !strings.Contains(got, "sleep 601") {
		t.Errorf("the process has not gone on: %s", got)
	}
}

// The streams of an exec block, as programs expect: they wait for a slow reader,
// and for input that comes late.
func TestExecStreamsBlock(t *testing.T) {
	e := newEngine(t)
	e.ok("run", "-d", "--name", "flow", "host", "sleep", "600")
	const size = 1 << 20
	file := filepath.Join(t.TempDir(), "out")
	for _, tt := range []struct {
		name string
		run  func(cmd *exec.Cmd) (int, error)
	}{
		{"slow reader", func(cmd *exec.Cmd) (int, error) {
			out, err := cmd.StdoutPipe()
			if err != nil {
				return 0, err
			}
			if err := cmd.Start(); err != nil {
				return 0, err
			}
			time.Sleep(300 * time.Millisecond) // until all pipes are full
			text, err := io.ReadAll(out)
			return len(text), errors.Join(err, cmd.Wait())
		}},
		{"file", func(cmd *exec.Cmd) (int, error) {
			f, err := os.Create(file)
			if err != nil {
				return 0, err
			}
			defer f.Close()
			cmd.Stdout = f
			err = cmd.Run()
			st, serr := f.Stat()
			return int(st.Size()), errors.Join(err, serr)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := e.command(t.Context(), "exec", "flow", "head", "-c", strconv.Itoa(size), "/dev/zero")
			var errs bytes.Buffer
			cmd.Stderr = &errs
			if n, err := tt.run(cmd); n != size || err != nil {
				t.Errorf("%d bytes of %d came: %v %s", n, size, err, errs.String())
			}
		})
	}
	t.Run("late input", func(t *testing.T) {
		cmd := e.command(t.Context(), "exec", "-i", "flow", "sh", "-c", "echo ready >&2; cat")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		ready, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(ready, make([]byte, len("ready\n"))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond) // so that cat reads before there is anything
		io.WriteString(in, "late")
		in.Close()
		text, _ := io.ReadAll(ready)
		if err := cmd.Wait(); err != nil || out.String() != "late" {
			t.Errorf("%q %v %s", out.String(), err, text)
		}
	})
}
