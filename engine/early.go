package engine

import (
	"context"
	"path/filepath"

	"github.com/berth-engine/berth/container/monitor"
)

// early is a monitor whose process starts while its container is still being
// made: the two take about as long as each other.
//
//	create:  id ─► image ─► record ─► tree ─► spec ─► bundle ─┐
//	monitor:  └─► process ─► waits on its connection ──────────┴─► Start ─► reads the bundle
//
// When the creation fails the connection is closed and the monitor, which has
// touched nothing, ends.
type early struct {
	conn *monitor.Conn
	err  error
	done chan struct{}
}

// spawnEarly starts the monitor of a container that may not be more than planned.
func (c *Containers) spawnEarly(ctx context.Context, id string, remove bool) *early {
	e := &early{done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.conn, e.err = c.spawnMonitor(ctx, id, remove)
	}()
	return e
}

func (c *Containers) spawnMonitor(ctx context.Context, id string, remove bool) (*monitor.Conn, error) {
	records, err := c.records()
	if err != nil {
		return nil, err
	}
	exe, err := c.runtime()
	if err != nil {
		return nil, err
	}
	return monitor.Spawn(ctx, exe, filepath.Join(c.filesDir(records, id, remove), bundleName))
}

// take gives the connection away, once.
func (e *early) take() (*monitor.Conn, error) {
	<-e.done
	conn := e.conn
	e.conn = nil
	return conn, e.err
}

// drop ends a monitor that nobody took.
func (e *early) drop() {
	if e == nil {
		return
	}
	if conn, err := e.take(); err == nil && conn != nil {
		conn.Close()
	}
}
