package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
)

// renewed reports whether the monitor has executed itself.
func (b *box) renewed() bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", b.status().MonitorPid))
	return err == nil && strings.Contains(string(line), RenewFlag)
}

// stepping is a box whose payload does a step of script for each call of next.
func stepping(t *testing.T, change func(*monitor.Config), script string) (b *box, next func()) {
	t.Helper()
	b = newBox(t, change)
	// A gate for each NEXT: the next reader of a single one could still meet
	// the last writer, and pass.
	var gates []string
	for strings.Contains(script, "NEXT") {
		gate := filepath.Join(b.dir, "gate-of-test-"+strconv.Itoa(len(gates)))
		if err := syscall.Mkfifo(gate, 0o600); err != nil {
			t.Fatal(err)
		}
		script = strings.Replace(script, "NEXT", "read x <"+gate, 1)
		gates = append(gates, gate)
	}
	b.write("fake.json", payload{Args: []string{"/bin/sh", "-c", script}})
	calls := 0
	return b, func() {
		t.Helper()
		if err := os.WriteFile(gates[calls%len(gates)], []byte("\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		calls++
	}
}

func (b *box) dial() *monitor.Conn {
	b.t.Helper()
	c, err := monitor.Dial(soon(b.t), b.cfg.RunDir)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return c
}

// A quiet monitor begins anew and nobody can tell: same process, same payload,
// log, streams and exit status as before.
func TestRenewKeepsEverything(t *testing.T) {
	b, next := stepping(t, func(c *monitor.Config) { c.OpenStdin = true }, "echo one; NEXT; echo two; read y; echo $y; exit 7")
	b.start(monitor.AttachOptions{}).Close()
	old := b.status()
	eventually(t, "a monitor begun anew", b.renewed)
	if s := b.status(); s != old {
		t.Errorf("status was %+v, is %+v", old, s)
	}
	c := b.dial()
	var out lockedBuffer
	if err := c.Attach(soon(t), monitor.AttachOptions{Stdin: strings.NewReader("three\n"), Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	next()
	if exit, err := c.Wait(soon(t)); err != nil || exit.Code != 7 || exit.Unknown {
		t.Errorf("wait: %+v, %v", exit, err)
	}
	if got := out.String(); got != "two\nthree\n" {
		t.Errorf("output %q", got)
	}
	if got := b.log(); got != "one\ntwo\nthree\n" {
		t.Errorf("log %q", got)
	}
	if s := b.status(); s.State != container.Exited || s.Exit.Code != 7 || s.Note != "" {
		t.Errorf("status %+v", s)
	}
}

// What is under way keeps a monitor from it: a client, an exec, half a line.
func TestRenewOnlyWhenIdle(t *testing.T) {
	b := newBox(t, nil, "/bin/sleep", "60")
	c := b.start(monitor.AttachOptions{})
	time.Sleep(quietFor + quietFor/2)
	if b.renewed() {
		t.Fatal("with a client connected")
	}
	c.Close()
	eventually(t, "a monitor begun anew", b.renewed)

	b, next := stepping(t, nil, "echo -n half; NEXT; echo ' line'; NEXT")
	b.start(monitor.AttachOptions{}).Close()
	time.Sleep(quietFor + quietFor/2)
	if b.renewed() {
		t.Fatal("with half a line in memory")
	}
	next()
	eventually(t, "a monitor begun anew", b.renewed)
	if got := b.log(); got != "half line\n" {
		t.Errorf("log %q", got)
	}
	next()
}

// A payload that wants to die with its parent does not die of this.
func TestRenewIsNoDeath(t *testing.T) {
	if _, err := os.Stat("/usr/bin/setpriv"); err != nil {
		t.Skip(err)
	}
	b := newBox(t, nil, "/usr/bin/setpriv", "--pdeathsig", "KILL", "/bin/sleep", "60")
	b.start(monitor.AttachOptions{}).Close()
	eventually(t, "a monitor begun anew", b.renewed)
	if s := b.status(); !s.Alive() || s.State != container.Running {
		t.Fatalf("status %+v", s)
	}
	b.kill(b.dial())
}

// Terminal, size and restart policy outlive it.
func TestRenewTerminal(t *testing.T) {
	b, next := stepping(t, func(c *monitor.Config) {
		c.TTY, c.OpenStdin, c.Restart = true, true, container.RestartPolicy{Name: "on-failure", MaxRetries: 1}
	}, "stty size; NEXT; echo again; exit 3")
	b.start(monitor.AttachOptions{Rows: 11, Cols: 22}).Close()
	for range 2 {
		eventually(t, "a monitor begun anew", b.renewed)
		next()
		eventually(t, "the end of a run", func() bool { return strings.Contains(b.log(), "again") })
	}
	eventually(t, "the end", func() bool { return b.status().State == container.Exited })
	if got, want := b.log(), strings.Repeat("11 22\r\nagain\r\n", 2); got != want {
		t.Errorf("log %q, want %q", got, want)
	}
	if s := b.status(); s.RestartCount != 1 || s.Exit.Code != 3 {
		t.Errorf("status %+v", s)
	}
}

// The end comes while the monitor begins anew, and clients come all the time.
func TestRenewUnderFire(t *testing.T) {
	b := newBox(t, nil, "/bin/sh", "-c", "while :; do echo x; sleep 0.9; done")
	b.start(monitor.AttachOptions{}).Close()
	for end := time.Now().Add(3 * quietFor); time.Now().Before(end); {
		c := b.dial()
		if s, err := c.Status(soon(t)); err != nil || s.State != container.Running {
			t.Fatalf("status: %+v, %v", s, err)
		}
		c.Close()
		time.Sleep(time.Millisecond)
	}
	b.kill(b.dial())
}

// A handover that nobody made is refused.
func FuzzHandover(f *testing.F) {
	f.Add(`{"Door":3,"Pidfd":4}`)
	f.Add(`{`)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		s := newServer(monitor.Config{ID: "x", StatusFile: filepath.Join(dir, "status.json"), RunDir: dir}, nil)
		if err := s.resume(text); err == nil {
			t.Error("accepted")
		}
	})
}
