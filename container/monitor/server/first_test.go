package server

import (
	"testing"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
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
