package criu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/internal/fault"
)

func TestQuote(t *testing.T) {
	log := `(00.000123) Version: 3.17.1 (gitid 0)
(00.028117) No memfd.img image
(00.1)      1: Error (criu/a.c:1): first
(00.2) Error (criu/b.c:2): second` + "\x1b[31m\r" + `
(00.3)     30: Error (criu/c.c:3): ` + strings.Repeat("x", 1000) + `
(00.4) Warn  (criu/d.c:4): no error
(00.5) Error (criu/e.c:5): Dumping FAILED.
(00.6) Error (criu/e.c:5)
`
	want := "second [31m; " + strings.Repeat("x", maxLine) + "...; Dumping FAILED."
	if got := quote(log); got != want {
		t.Errorf("got %q", got)
	}
	log = `(00.087763) Connecting to server 127.0.0.1:1
(00.089192) Can't connect to server 127.0.0.1:1
(00.098655) Error (compel/f.c:6): Can't detach
`
	if got := quote(log); got != "Can't connect to server 127.0.0.1:1; Can't detach" {
		t.Errorf("got %q", got)
	}
	if got := quote("all is well\n"); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestTail(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "log")
	if err := os.WriteFile(file, []byte(strings.Repeat("a", 2*maxTail)+"end"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := tail(file); len(got) != maxTail || !strings.HasSuffix(got, "end") {
		t.Errorf("%d bytes", len(got))
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{link, dir, filepath.Join(dir, "none")} {
		if got := tail(name); got != "" {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
}

func TestCheck(t *testing.T) {
	good := Request{Verb: Dump, Pid: 5}
	for name, spoil := range map[string]func(r *Request){
		"nothing like": func(r *Request) { r.Verb = "exec" },
		"without a":    func(r *Request) { r.Pid = 0 },
		"out of range": func(r *Request) { r.Port = 1 << 16 },
		"cgroups-mode": func(r *Request) { r.CgroupMode = "hard" },
	} {
		r := good
		if err := r.Check(); err != nil {
			t.Error(err)
		}
		spoil(&r)
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func wires(t *testing.T) (a, b *Wire) {
	t.Helper()
	x, y, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(); y.Close() })
	return NewWire(x), NewWire(y)
}

// TestWire: values arrive as they were sent, with their file.
func TestWire(t *testing.T) {
	a, b := wires(t)
	file, err := os.CreateTemp(t.TempDir(), "file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want := Request{Verb: Restore, External: []string{strings.Repeat("m", 1000)}, Inherit: []Inherit{{"pipe:[1]", 4}}, Options: Options{ShellJob: true}}
	if err := a.Send(want, file); err != nil {
		t.Fatal(err)
	}
	var got Request
	with, err := b.Receive(&got)
	if err != nil || with == nil {
		t.Fatalf("%v, %v", with, err)
	}
	defer with.Close()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	x, err1 := file.Stat()
	y, err2 := with.Stat()
	if err1 != nil || err2 != nil || !os.SameFile(x, y) {
		t.Errorf("another file arrived: %v, %v", err1, err2)
	}
}

func TestWireRefuses(t *testing.T) {
	a, b := wires(t)
	if err := a.Send(strings.Repeat("x", maxMessage), nil); !errors.Is(err, fault.TooLarge) {
		t.Errorf("too long a message: %v", err)
	}
	for _, text := range []string{`{"go":true} {}`, `{"odd":1}`, `x`, `[]`} {
		if err := a.SendBytes([]byte(text), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Receive(&Answer{}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := a.SendBytes(make([]byte, maxMessage+1), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Receive(&Answer{}); !errors.Is(err, fault.TooLarge) {
		t.Errorf("a packet that is too long: %v", err)
	}
	a.Close()
	if _, err := b.Receive(&Answer{}); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

// follow plays berth-criu, which says these things.
func follow(t *testing.T, at func(Event, *os.File) error, says ...any) error {
	t.Helper()
	a, b := wires(t)
	done := make(chan error, 1)
	j := &Job{WorkDir: "/none", At: at}
	j.Verb, j.Log = Dump, "dump.log"
	go func() {
		done <- j.follow(t.Context(), a)
		a.Close()
	}()
	for _, s := range says {
		if err := b.Send(s, nil); err != nil {
			t.Fatal(err)
		}
		if e, ok := s.(Event); ok && e.Step != "" {
			if _, err := b.Receive(&Answer{}); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
		}
	}
	b.Close()
	return <-done
}

func TestFollow(t *testing.T) {
	refuse := errors.New("refused")
	no := func(Event, *os.File) error { return refuse }
	step := Event{Step: "post-dump"}
	for _, tt := range []struct {
		name string
		at   func(Event, *os.File) error
		says []any
		want string
	}{
		{"done", nil, []any{step, step, Event{Done: true}}, ""},
		{"error", nil, []any{step, Event{Error: "DUMP was\nnot done"}}, "criu dump: DUMP was not done (its log would be in /none/dump.log)"},
		{"refused", no, []any{step, Event{Error: "post-dump failed"}}, "refused"},
		{"refused and gone", no, []any{step}, "refused"},
		{"refused too late", no, []any{step, Event{Done: true}}, "refused"},
		{"silence", nil, nil, "criu dump: ended without an answer (its log would be in /none/dump.log)"},
		{"two things", nil, []any{Event{Step: "a", Done: true}}, "berth-criu: its message is not one of step, done and error"},
		{"nothing", nil, []any{Event{}}, "berth-criu: its message is not one of step, done and error"},
		{"odd", nil, []any{map[string]int{"exec": 1}}, `a message that is none: "{\"exec\":1}"`},
	} {
		err := follow(t, tt.at, tt.says...)
		if got := fmt.Sprint(err); got != tt.want && (err != nil || tt.want != "") {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// When nobody wants it any more CRIU is told to give up; what it has done all
// the same is done.
func TestFollowUnwanted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, end := range []Event{{Done: true}, {Error: "gave up"}} {
		a, b := wires(t)
		j := &Job{WorkDir: "/none"}
		j.Verb, j.Log = Dump, "dump.log"
		for _, e := range []Event{{Step: "post-dump"}, end} {
			if err := b.Send(e, nil); err != nil {
				t.Fatal(err)
			}
		}
		err := j.follow(ctx, a)
		if (err == nil) != end.Done {
			t.Errorf("%+v: %v", end, err)
		}
		answer := Answer{Go: true}
		if _, err := b.Receive(&answer); err != nil || answer.Go {
			t.Errorf("%+v: CRIU was told %+v, %v", end, answer, err)
		}
	}
}

// CRIU that does not get on after its last work is not waited for.
func TestFollowStuck(t *testing.T) {
	a, b := wires(t)
	j := &Job{WorkDir: "/none", patience: 10 * time.Millisecond}
	j.Verb, j.Log = Restore, "restore.log"
	if err := b.Send(Event{Step: PostRestore, Pid: 1}, nil); err != nil {
		t.Fatal(err)
	}
	err := j.follow(t.Context(), a)
	if want := "criu restore: did not come to an end (its log would be in /none/restore.log)"; fmt.Sprint(err) != want || !j.stuck {
		t.Errorf("%v, want %s; stuck: %v", err, want, j.stuck)
	}
}

// FuzzEvent: what is accepted says one thing, and means the same again.
func FuzzEvent(f *testing.F) {
	for _, s := range []string{`{"step":"post-restore","pid":5}`, `{"done":true}`, `{"error":"x"}`, `{"pid":-1,"done":true}`, `{"step":"a","done":true}`, `[]`, `{} {}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e Event
		if decode(data, &e) != nil || e.check() != nil {
			return
		}
		if (e.Step != "") == (e.Done || e.Error != "") || e.Pid < 0 {
			t.Errorf("%q is %+v", data, e)
		}
		again, err := json.Marshal(e)
		var second Event
		if err != nil || decode(again, &second) != nil || second != e {
			t.Errorf("%q became %+v, %v", data, second, err)
		}
	})
}
