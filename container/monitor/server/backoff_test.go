package server

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/fault"
)

func TestBackoff(t *testing.T) {
	var b backoff
	var got []time.Duration
	for _, ran := range []time.Duration{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, healthy, 0, 0} {
		got = append(got, b.next(ran))
	}
	ms := time.Millisecond
	want := []time.Duration{
		100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 12800 * ms, 25600 * ms, 51200 * ms,
		time.Minute, time.Minute, 100 * ms, 200 * ms, 400 * ms,
	}
	if !slices.Equal(want, got) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAgain(t *testing.T) {
	for _, tt := range []struct {
		policy string
		max    int
		code   int
		count  int
		want   bool
	}{
		{"", 0, 1, 0, false},
		{"no", 0, 1, 0, false},
		{"always", 0, 0, 1000, true},
		{"unless-stopped", 0, 1, 5, true},
		{"on-failure", 0, 0, 0, false},
		{"on-failure", 0, 1, 1000, true},
		{"on-failure", 3, 1, 2, true},
		{"on-failure", 3, 1, 3, false},
		{"nonsense", 0, 1, 0, false},
	} {
		p := container.RestartPolicy{Name: tt.policy, MaxRetries: tt.max}
		if got := again(p, container.ExitStatus{Code: tt.code}, tt.count); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// brief is a Runtime whose payloads are over at once, and that can refuse.
type brief struct {
	fake
	refuse func(create int) error
	n      int
}

func (b *brief) Run(context.Context, Bundle) (Proc, error) {
	b.n++
	if err := b.refuse(b.n); err != nil {
		return Proc{}, err
	}
	return spawn([]string{"/bin/false"}, [3]*os.File{os.Stdin, os.Stdout, os.Stderr}, false)
}

func (*brief) Exec(context.Context, string, *specs.Process, [3]*os.File) (Proc, error) {
	return Proc{}, errors.ErrUnsupported
}
func (*brief) Delete(context.Context, string, bool) error { return nil }
func (*brief) OOMKilled(string) (bool, []string, error)   { return false, nil, nil }

// serveHere runs a server in this process and returns its client side.
func serveHere(t *testing.T, s *server) (*wire.Link, <-chan error) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	link, err := wire.NewLink(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	done := make(chan error, 1)
	go func() { done <- s.run(os.NewFile(uintptr(fds[1]), "first")) }()
	return link, done
}

func request(t *testing.T, link *wire.Link, m *wire.Message) *wire.Message {
	t.Helper()
	frame, err := wire.Pack(m)
	if err == nil {
		err = link.Send(frame, time.Second)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, data, err := wire.Read(link)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := wire.Unpack(data)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// Restarts follow the policy on a clock of the test's own, and a restart that
// does not succeed is tried again like a run that failed.
func TestRestartOnFakeClock(t *testing.T) {
	b := newBox(t, func(c *monitor.Config) {
		c.Restart = container.RestartPolicy{Name: "on-failure", MaxRetries: 6}
	})
	rt := &brief{fake: fake{dir: b.dir}, refuse: func(n int) error {
		if n == 3 {
			return fault.New(fault.NotFound, "the image is gone")
		}
		return nil
	}}
	s := newServer(b.cfg, rt)
	var pauses []time.Duration
	var seen []container.State
	s.after = func(d time.Duration) <-chan time.Time {
		pauses = append(pauses, d)
		seen = append(seen, s.current().State)
		now := make(chan time.Time, 1)
		now <- time.Time{}
		return now
	}
	link, done := serveHere(t, s)
	if m := request(t, link, &wire.Message{Op: wire.Start, Seq: 1}); m.Op != wire.OK {
		t.Fatalf("start: %+v", m)
	}
	m := request(t, link, &wire.Message{Op: wire.Wait, Seq: 2})
	if m.Op != wire.Ended || m.Exit.Code != 1 {
		t.Errorf("wait: %+v", m)
	}
	link.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	ms := time.Millisecond
	want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms}
	if !slices.Equal(want, pauses) {
		t.Errorf("pauses %v, want %v", pauses, want)
	}
	for _, st := range seen {
		if st != container.Restarting {
			t.Errorf("state %s while waiting", st)
		}
	}
	if st := b.status(); st.RestartCount != 6 || rt.n != 7 || st.State != container.Exited {
		t.Errorf("%d creates, status %+v", rt.n, st)
	}
}

// A failure at any step of a start leaves nothing open and tells why.
func TestBeginFailures(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(b *box, p *payload)
	}{
		{"run directory", func(b *box, _ *payload) { os.RemoveAll(b.cfg.RunDir) }},
		{"log", func(b *box, _ *payload) { b.cfg.LogFile = b.dir }},
		{"fifo", func(b *box, _ *payload) {
			_ = os.MkdirAll(b.cfg.RunDir+"/stdout/x", 0o700)
		}},
		{"create", func(_ *box, p *payload) { p.CreateErr = "no" }},
		{"start", func(_ *box, p *payload) { p.StartErr = "no" }},
		{"pid file", func(b *box, _ *payload) { b.cfg.PIDFile = "/nonexistent/dir/pid" }},
		{"status file", func(b *box, _ *payload) { b.cfg.StatusFile = "/nonexistent/dir/status.json" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, nil)
			p := payload{Args: []string{"/bin/sleep", "60"}}
			tt.change(b, &p)
			b.write("fake.json", p)
			before := openFiles(t)
			s := newServer(b.cfg, &fake{dir: b.dir})
			link, done := serveHere(t, s)
			m := request(t, link, &wire.Message{Op: wire.Start, Seq: 1})
			if m.Op != wire.Failed || m.Err == nil || m.Err.Text == "" {
				t.Errorf("start: %+v", m)
			}
			link.Close()
			if err := <-done; err == nil {
				t.Error("run: no error")
			}
			if pid, err := (&fake{dir: b.dir}).pid(); err == nil {
				t.Errorf("process %d is left", pid)
			}
			eventually(t, "all descriptors are closed", func() bool { return openFiles(t) <= before })
		})
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}
