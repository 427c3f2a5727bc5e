package server

import (
	"testing"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/container/monitor/internal/wire"
)

// The client that made the monitor may ask for something else first.
func TestFirstRequestIsNotToStart(t *testing.T) {
	b := newBox(t, nil, "/bin/sh", "-c", "exit 7")
	c := b.spawn()
	if _, err := c.Status(soon(t)); err != nil {
		t.Fatalf("status before the start: %v", err)
	}
	if err := c.Start(soon(t), monitor.AttachOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Wait(soon(t)); err != nil || got != (container.ExitStatus{Code: 7}) {
		t.Errorf("wait: %+v, %v", got, err)
	}
}

// What it says may be there already, or come later; it may be nonsense, or
// nothing at all.
func TestFirstWord(t *testing.T) {
	start, err := wire.Pack(&wire.Message{Op: wire.Start, Seq: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		word      []byte
		start     bool
		connected bool
	}{
		"start":       {start, true, true},
		"later":       {nil, false, true},
		"of no type":  {frameOf(99, nil), false, false},
		"no message":  {frameOf(wire.Control, []byte("{")), false, false},
		"half a head": {start[:3], false, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, far := newPair(t)
			s := newServer(monitor.Config{ID: "box"}, nil)
			if tt.word != nil {
				if err := far.Send(tt.word, 0); err != nil {
					t.Fatal(err)
				}
			}
			if !tt.connected {
				far.Close()
			}
			q, ok := s.asked(s.admit(c.link))
			if ok != tt.start || ok && (q.m.Op != wire.Start || !s.started) {
				t.Errorf("a request to start: %v, want %v", ok, tt.start)
			}
			eventually(t, "the client's end", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return (len(s.clients) > 0) == tt.connected
			})
		})
	}
}
