package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/internal/fault"
)

func sh(script string) *specs.Process {
	return &specs.Process{Args: []string{"/bin/sh", "-c", script}}
}

func TestExecManyAtOnce(t *testing.T) {
	b := newBox(t, nil, "/bin/sleep", "60")
	c := b.start(monitor.AttachOptions{})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			r, w, err := os.Pipe()
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			p, err := c.Exec(soon(t), monitor.ExecRequest{Process: sh(fmt.Sprintf("echo %d; exit %d", i, i)), Stdout: w})
			w.Close()
			if err != nil {
				t.Error(err)
				return
			}
			out, err := io.ReadAll(r)
			if want := fmt.Sprintf("%d\n", i); err != nil || string(out) != want {
				t.Errorf("output %q, %v; want %q", out, err, want)
			}
			if exit, err := p.Wait(soon(t)); err != nil || exit.Code != i || p.Pid == 0 {
				t.Errorf("exec %d: %+v, %v", i, exit, err)
			}
		})
	}
	wg.Wait()
	b.kill(c)
}

// kill ends the container and waits for that.
func (b *box) kill(c *monitor.Conn) {
	b.t.Helper()
	if err := c.Signal(soon(b.t), syscall.SIGKILL); err != nil {
		b.t.Error(err)
	}
	if _, err := c.Wait(soon(b.t)); err != nil {
		b.t.Error(err)
	}
}

func TestExecStdin(t *testing.T) {
	b := newBox(t, nil, "/bin/sleep", "60")
	c := b.start(monitor.AttachOptions{})
	in, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := c.Exec(soon(t), monitor.ExecRequest{Process: sh("wc -l; echo err >&2"), Stdin: in, Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil || !strings.HasSuffix(string(out), "\nerr\n") || strings.HasPrefix(string(out), "0") {
		t.Errorf("output %q, %v", out, err)
	}
	if exit, err := p.Wait(soon(t)); err != nil || exit.Code != 0 {
		t.Errorf("wait: %+v, %v", exit, err)
	}
	b.kill(c)
}

func TestExecTerminal(t *testing.T) {
	b := newBox(t, nil, "/bin/sleep", "60")
	c := b.start(monitor.AttachOptions{})
	proc := sh("tty -s && echo terminal; read x; echo got $x")
	proc.Terminal = true
	p, err := c.Exec(soon(t), monitor.ExecRequest{Process: proc})
	if err != nil {
		t.Fatal(err)
	}
	if p.Console == nil {
		t.Fatal("no console")
	}
	defer p.Console.Close()
	if _, err := p.Console.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(p.Console)
	if !errors.Is(err, syscall.EIO) || !strings.HasSuffix(string(out), "got hello\r\n") || !strings.Contains(string(out), "terminal\r\n") {
		t.Errorf("output %q, %v", out, err)
	}
	if exit, err := p.Wait(soon(t)); err != nil || exit.Code != 0 {
		t.Errorf("wait: %+v, %v", exit, err)
	}
	b.kill(c)
}

// A client that leaves takes neither the process nor its terminal with it.
func TestExecSurvivesItsClient(t *testing.T) {
	b := newBox(t, nil, "/bin/sleep", "60")
	c := b.start(monitor.AttachOptions{})
	mark := b.dir + "/mark"
	for _, tty := range []bool{false, true} {
		os.Remove(mark)
		other, err := monitor.Dial(soon(t), b.cfg.RunDir)
		if err != nil {
			t.Fatal(err)
		}
		proc := sh("sleep 0.2; head -c 200000 /dev/zero; echo done >" + mark)
		proc.Terminal = tty
		p, err := other.Exec(soon(t), monitor.ExecRequest{Process: proc})
		if err != nil {
			t.Fatal(err)
		}
		if p.Console != nil {
			p.Console.Close()
		}
		other.Close()
		eventually(t, "the process goes on", func() bool { _, err := os.Stat(mark); return err == nil })
	}
	b.kill(c)
}

func TestExecRefused(t *testing.T) {
	b := newBox(t, nil, "/bin/sleep", "60")
	c := b.start(monitor.AttachOptions{})
	if _, err := c.Exec(soon(t), monitor.ExecRequest{Process: &specs.Process{}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("exec of nothing: %v", err)
	}
	if _, err := c.Exec(soon(t), monitor.ExecRequest{}); !errors.Is(err, fault.Invalid) {
		t.Errorf("exec without process: %v", err)
	}
	if err := c.Pause(soon(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(soon(t), monitor.ExecRequest{Process: sh("true")}); !errors.Is(err, fault.Conflict) {
		t.Errorf("exec while paused: %v", err)
	}
	b.kill(c)
}
