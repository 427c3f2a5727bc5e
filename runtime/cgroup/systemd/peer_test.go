package systemd

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// peer is the other end of a connection: it plays a script, one answer for
// each message that comes in, and writes down what the messages were.
type peer struct {
	fd     int
	script []func(serial uint32) []byte
	heard  []message
}

// reply marshals a message that is not a call.
func reply(kind byte, fields func(w *writer), body []byte) []byte {
	w := &writer{b: []byte{'l', kind, 0, 1}}
	w.u32(uint32(len(body)))
	w.u32(77)
	w.array(8, func() { fields(w) })
	w.align(8)
	return append(w.b, body...)
}

func stringField(w *writer, code byte, kind, v string) {
	w.align(8)
	w.byte(code)
	w.signature(kind)
	if kind == "g" {
		w.signature(v)
	} else {
		w.str(v)
	}
}

func replyTo(w *writer, serial uint32) {
	w.align(8)
	w.byte(fieldReplyTo)
	w.signature("u")
	w.u32(serial)
}

func strings2(list ...string) []byte {
	w := &writer{}
	for _, s := range list {
		w.str(s)
	}
	return w.b
}

// job answers with a job's path.
func job(path string) func(uint32) []byte {
	return func(serial uint32) []byte {
		return reply(kindReply, func(w *writer) {
			replyTo(w, serial)
			stringField(w, fieldSignature, "g", "o")
		}, strings2(path))
	}
}

// removed is the signal that a job has ended.
func removed(path, result string) []byte {
	body := &writer{}
	body.u32(5)
	body.str(path)
	body.str("x.scope")
	body.str(result)
	return reply(kindSignal, func(w *writer) {
		stringField(w, fieldInterface, "s", manager)
		stringField(w, fieldMember, "s", "JobRemoved")
		stringField(w, fieldSignature, "g", "uoss")
	}, body.b)
}

func refused(name, text string) func(uint32) []byte {
	return func(serial uint32) []byte {
		return reply(kindError, func(w *writer) {
			stringField(w, fieldError, "s", name)
			replyTo(w, serial)
			stringField(w, fieldSignature, "g", "s")
		}, strings2(text))
	}
}

func done(serial uint32) []byte {
	return reply(kindReply, func(w *writer) { replyTo(w, serial) }, nil)
}

// with connects to a peer that plays script.
func with(t *testing.T, script ...func(uint32) []byte) (*Conn, *peer) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{fd: fds[1], script: script}
	ended := make(chan struct{})
	go func() { defer close(ended); p.play() }()
	c := &Conn{fd: fds[0], done: map[string]string{}}
	t.Cleanup(func() { c.Close(); <-ended })
	return c, p
}

func (p *peer) play() {
	defer unix.Close(p.fd)
	in := &Conn{fd: p.fd, done: map[string]string{}}
	for _, answer := range p.script {
		if err := in.fill(headSize); err != nil {
			return
		}
		serial := binary.LittleEndian.Uint32(in.pending[8:])
		m, err := in.receive()
		if err != nil {
			return
		}
		p.heard = append(p.heard, m)
		if in.send(answer(serial)) != nil {
			return
		}
	}
}

func join(answers ...func(uint32) []byte) func(uint32) []byte {
	return func(serial uint32) (out []byte) {
		for _, a := range answers {
			out = append(out, a(serial)...)
		}
		return out
	}
}

func always(b []byte) func(uint32) []byte { return func(uint32) []byte { return b } }

func TestStartScope(t *testing.T) {
	exists := refused("org.freedesktop.systemd1.UnitExists", "Unit x.scope was already loaded")
	for _, tt := range []struct {
		name   string
		script []func(uint32) []byte
		kind   fault.Kind
		want   string // of the error
	}{
		{"done", []func(uint32) []byte{join(job("/job/1"), always(removed("/job/2", "done")), always(removed("/job/1", "done")))}, "", ""},
		{"the signal is first", []func(uint32) []byte{join(always(removed("/job/1", "done")), job("/job/1"))}, "", ""},
		{"the job fails", []func(uint32) []byte{join(job("/job/1"), always(removed("/job/1", "failed")))}, fault.Internal, `ended as "failed"`},
		{"one that failed before", []func(uint32) []byte{exists, done, join(job("/job/1"), always(removed("/job/1", "done")))}, "", ""},
		{"one that lives", []func(uint32) []byte{exists, done, exists}, fault.Exists, "already loaded"},
		{"not allowed", []func(uint32) []byte{refused("org.freedesktop.DBus.Error.AccessDenied", "no")}, fault.Denied, "no (org"},
		{"an answer to somebody else", []func(uint32) []byte{join(func(n uint32) []byte { return done(n + 1) }, job("/job/1"), always(removed("/job/1", "done")))}, "", ""},
		{"a wrong reply", []func(uint32) []byte{done}, fault.Damaged, "signature"},
		{"closed at once", nil, fault.Unavailable, ""},
		{"closed before the end", []func(uint32) []byte{job("/job/1")}, fault.Unavailable, "closed"},
		{"no message", []func(uint32) []byte{always([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))}, fault.Damaged, ""},
		{"a huge message", []func(uint32) []byte{always([]byte("l\x02\x00\x01\xff\xff\xff\xff\x01\x00\x00\x00\xff\xff\xff\xff"))}, fault.TooLarge, ""},
		{"cut", []func(uint32) []byte{func(n uint32) []byte { return job("/job/1")(n)[:40] }}, fault.Unavailable, "closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := with(t, tt.script...)
			err := c.StartScope("x.scope", []Property{{"Delegate", true}})
			if tt.kind == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, tt.kind) && fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v of class %v, want %v with %q", err, fault.KindOf(err), tt.kind, tt.want)
			}
		})
	}
}

// TestCallBytes has a call byte by byte, as the specification lays it out.
func TestCallBytes(t *testing.T) {
	w := &writer{}
	w.str("a.b")
	w.bool(true)
	w.properties([]Property{{"TasksMax", uint64(7)}})
	got := call(3, target{"d.e", "/o", "i.f", "M"}, "sba(sv)", w.b)
	want := "l\x01\x00\x01" + "\x28\x00\x00\x00" + "\x03\x00\x00\x00" + "\x4d\x00\x00\x00" +
		"\x01\x01o\x00" + "\x02\x00\x00\x00/o\x00" + "\x00\x00\x00\x00\x00" +
		"\x02\x01s\x00" + "\x03\x00\x00\x00i.f\x00" + "\x00\x00\x00\x00" +
		"\x03\x01s\x00" + "\x01\x00\x00\x00M\x00" + "\x00\x00\x00\x00\x00\x00" +
		"\x06\x01s\x00" + "\x03\x00\x00\x00d.e\x00" + "\x00\x00\x00\x00" +
		"\x08\x01g\x00" + "\x07sba(sv)\x00" + "\x00\x00\x00" +
		"" + "\x03\x00\x00\x00a.b\x00" + "\x01\x00\x00\x00" + // the head ends on 8
		"\x18\x00\x00\x00" + "" + // the length of the array, whose elements begin on 8
		"\x08\x00\x00\x00TasksMax\x00" + "\x01t\x00" + "\x07\x00\x00\x00\x00\x00\x00\x00"
	if string(got) != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestStop(t *testing.T) {
	gone := refused("org.freedesktop.systemd1.NoSuchUnit", "not loaded")
	c, p := with(t, gone, gone)
	if err := c.Stop("x.scope"); err != nil {
		t.Error(err)
	}
	c.Close()
	if len(p.heard) > 0 && p.heard[0].member != "StopUnit" {
		t.Errorf("heard %+v", p.heard)
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]int{"252.39-1~deb12u1": 252, "v242-rc1": 242, "257": 257} {
		answer := func(serial uint32) []byte {
			w := &writer{}
			w.variant(text)
			return reply(kindReply, func(f *writer) {
				replyTo(f, serial)
				stringField(f, fieldSignature, "g", "v")
			}, w.b)
		}
		c, _ := with(t, answer)
		if v, err := c.Version(); v != want || err != nil {
			t.Errorf("%q: %d, %v", text, v, err)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	for answer, ok := range map[string]bool{
		"DATA\r\nOK 0123456789abcdef\r\n": true,
		"OK 0123456789abcdef\r\n":         true,
		"REJECTED EXTERNAL\r\n":           false,
		"DATA\r\nREJECTED\r\n":            false,
		strings.Repeat("x", 2000):         false,
		"":                                false,
	} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		c := &Conn{fd: fds[0]}
		if _, err := unix.Write(fds[1], []byte(answer)); err != nil {
			t.Fatal(err)
		}
		unix.Shutdown(fds[1], unix.SHUT_WR)
		if err := c.authenticate(); (err == nil) != ok {
			t.Errorf("%q: %v", answer, err)
		}
		unix.Close(fds[1])
		c.Close()
	}
}

func FuzzParse(f *testing.F) {
	f.Add(job("/job/1")(3))
	f.Add(removed("/job/1", "done"))
	f.Add(refused("a.b", "c")(9))
	f.Add(call(1, target{"a.b", "/c", "d.e", "F"}, "s", strings2("x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		c := &Conn{done: map[string]string{}}
		c.note(m)
		_ = refusal(m)
	})
}
