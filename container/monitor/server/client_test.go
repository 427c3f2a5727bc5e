package server

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
)

// stuck is a writer that never comes back.
type stuck struct{ done <-chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	<-s.done
	return len(p), nil
}

// A client that takes nothing is dropped; the payload and others go on.
func TestStalledClientIsDropped(t *testing.T) {
	b := newBox(t, nil, exe(t), "lines", "20000")
	b.pauseStart()
	c := b.spawn()
	if err := c.Start(soon(t), monitor.AttachOptions{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	defer close(done)
	lazy, err := monitor.Dial(soon(t), b.cfg.RunDir)
	if err != nil {
		t.Fatal(err)
	}
	defer lazy.Close()
	if err := lazy.Attach(soon(t), monitor.AttachOptions{Stdout: stuck{done}}); err != nil {
		t.Fatal(err)
	}
	good, err := monitor.Dial(soon(t), b.cfg.RunDir)
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	var out bytes.Buffer
	if err := good.Attach(soon(t), monitor.AttachOptions{Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	b.go_()
	exit, err := good.Wait(soon(t))
	if err != nil || exit.Code != 0 {
		t.Fatalf("wait: %+v, %v", exit, err)
	}
	if n := strings.Count(out.String(), "\n"); n != 20000 {
		t.Errorf("the other client got %d lines", n)
	}
	if n := strings.Count(b.log(), "\n"); n != 20000 {
		t.Errorf("the log has %d lines", n)
	}
}

// pauseStart makes the payload wait for go_.
func (b *box) pauseStart() {
	b.t.Helper()
	var p payload
	f := &fake{dir: b.dir}
	p, err := f.payload()
	if err != nil {
		b.t.Fatal(err)
	}
	p.Args = append([]string{"/bin/sh", "-c", `while ! test -e ` + b.dir + `/go; do sleep 0.01; done; exec "$@"`, "sh"}, p.Args...)
	b.write("fake.json", p)
}

func (b *box) go_() {
	b.t.Helper()
	if err := os.WriteFile(b.dir+"/go", nil, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// What a slow reader has not taken when the payload ends still reaches it,
// while others hear of the end at once.
func TestSlowClientGetsTheTail(t *testing.T) {
	b := newBox(t, nil, exe(t), "lines", "3000")
	hold := make(chan struct{})
	out := &gated{hold: hold}
	c := b.start(monitor.AttachOptions{Stdout: out})
	other, err := monitor.Dial(soon(t), b.cfg.RunDir)
	if err == nil {
		defer other.Close()
		if _, err := other.Wait(soon(t)); err != nil {
			t.Errorf("the other client: %v", err)
		}
	}
	eventually(t, "the end is on record", func() bool { return b.status().State == container.Exited })
	close(hold)
	if _, err := c.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.b.String(), "\n"); n != 3000 {
		t.Errorf("%d lines", n)
	}
}

// gated lets nothing through before hold is closed.
type gated struct {
	hold <-chan struct{}
	b    lockedBuffer
}

func (g *gated) Write(p []byte) (int, error) {
	<-g.hold
	return g.b.Write(p)
}

func TestManyClients(t *testing.T) {
	b := newBox(t, nil, "/bin/sh", "-c", "echo hello")
	b.pauseStart()
	b.start(monitor.AttachOptions{}).Close()
	type watcher struct {
		c   *monitor.Conn
		out *bytes.Buffer
	}
	var all []watcher
	for range 100 {
		c, err := monitor.Dial(soon(t), b.cfg.RunDir)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		w := watcher{c, new(bytes.Buffer)}
		if err := c.Attach(soon(t), monitor.AttachOptions{Stdout: w.out}); err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	b.go_()
	for _, w := range all {
		if _, err := w.c.Wait(soon(t)); err != nil {
			t.Fatal(err)
		}
		if w.out.String() != "hello\n" {
			t.Errorf("output %q", w.out.String())
		}
	}
}

// With --rm exactly one of those who offer removes the container; without
// any, the monitor starts the reaper.
func TestReap(t *testing.T) {
	rm := func(c *monitor.Config) {
		c.Remove = true
		c.Reaper = []string{"/bin/sh", "-c", "env >" + c.StatusFile + ".reaped; rm -rf " + c.Bundle}
	}
	reaped := func(b *box) bool { _, err := os.Stat(b.cfg.StatusFile + ".reaped"); return err == nil }

	t.Run("client", func(t *testing.T) {
		b := newBox(t, rm, "/bin/sh", "-c", "exit 4")
		c := b.start(monitor.AttachOptions{})
		exit, removal, err := c.Reap(soon(t), func() {})
		if err != nil || exit.Code != 4 || removal != monitor.Mine {
			t.Fatalf("reap: %+v, %v, %v", exit, removal, err)
		}
		if err := os.RemoveAll(filepath.Dir(b.dir)); err != nil {
			t.Fatal(err)
		}
		c.Close()
		eventually(t, "the monitor leaves", func() bool { left, err := os.ReadDir(b.cfg.RunDir); return err == nil && len(left) == 0 })
		if reaped(b) {
			t.Error("the reaper ran, too")
		}
	})
	t.Run("two offer", func(t *testing.T) {
		b := newBox(t, rm, "/bin/sleep", "60")
		c := b.start(monitor.AttachOptions{})
		other, err := monitor.Dial(soon(t), b.cfg.RunDir)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		got := make(chan monitor.Removal, 2)
		ctx := soon(t)
		for _, c := range []*monitor.Conn{c, other} {
			go func() {
				_, removal, err := c.Reap(ctx, func() {})
				if err != nil {
					t.Error(err)
				}
				got <- removal
			}()
		}
		if err := c.Signal(soon(t), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if one, two := <-got, <-got; one+two != monitor.Mine+monitor.Others {
			t.Errorf("they say %v and %v", one, two)
		}
		if err := os.RemoveAll(filepath.Dir(b.dir)); err != nil {
			t.Error(err)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		b := newBox(t, rm, "/bin/true")
		b.start(monitor.AttachOptions{}).Close()
		eventually(t, "the reaper", func() bool { _, err := os.Stat(b.dir); return reaped(b) && err != nil })
		env, err := os.ReadFile(b.cfg.StatusFile + ".reaped")
		if err != nil || bytes.Contains(env, []byte("GOMEMLIMIT")) {
			t.Errorf("environment %q, %v", env, err)
		}
	})
	t.Run("client dies", func(t *testing.T) {
		b := newBox(t, rm, "/bin/true")
		c := b.start(monitor.AttachOptions{})
		if _, removal, err := c.Reap(soon(t), func() {}); err != nil || removal != monitor.Mine {
			t.Fatal(removal, err)
		}
		c.Close()
		eventually(t, "the reaper", func() bool { return reaped(b) })
	})
	t.Run("kept", func(t *testing.T) {
		b := newBox(t, rm, "/bin/sleep", "60")
		c := b.start(monitor.AttachOptions{})
		keeper, err := monitor.Dial(soon(t), b.cfg.RunDir)
		if err != nil {
			t.Fatal(err)
		}
		if err := keeper.Keep(soon(t)); err != nil {
			t.Fatal(err)
		}
		if err := keeper.Signal(soon(t), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if _, removal, err := c.Reap(soon(t), func() { t.Error("the files may go, it says") }); err != nil || removal != monitor.Nobodys {
			t.Error(removal, err)
		}
		if _, removal, err := keeper.Reap(soon(t), func() {}); err != nil || removal != monitor.Nobodys {
			t.Error(removal, err)
		}
		c.Close()
		keeper.Close()
		eventually(t, "the monitor leaves", func() bool { s := b.status(); return s.State == container.Exited && !s.MonitorAlive() })
		if reaped(b) {
			t.Error("the reaper ran")
		}
	})
	t.Run("keeper dies", func(t *testing.T) {
		b := newBox(t, rm, "/bin/sleep", "60")
		b.start(monitor.AttachOptions{}).Close()
		for range 2 {
			c, err := monitor.Dial(soon(t), b.cfg.RunDir)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Keep(soon(t)); err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		c, err := monitor.Dial(soon(t), b.cfg.RunDir)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Signal(soon(t), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		c.Close()
		eventually(t, "the reaper", func() bool { return reaped(b) })
	})
}

func TestWaitAnswersSoon(t *testing.T) {
	b := newBox(t, nil, "/bin/sleep", "60")
	c := b.start(monitor.AttachOptions{Stdout: io.Discard})
	pid := b.status().Pid
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := c.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("wait took %v", took)
	}
}
