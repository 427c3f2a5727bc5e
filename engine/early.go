package engine

import (
	"context"
	"path/filepath"

	"github.com/berth-engine/berth/container/monitor"
)

// early is a monitor whose process starts while its container is still being
// made. The two take about as long as each other, so that the process is asked
// for first, before anything else is done.
//
//	create:  id ─► image ─► record ─► tree ─► spec ─► bundle ─┐
//	monitor:  └─► process ─► waits on its connection ──────────┴─► Start ─► reads the bundle
//
// When the creation fails the connection is closed and the monitor, which has
// touched nothing, ends.
type early struct {
	conn *monitor.Conn
	err  error
}

// spawnEarly starts the monitor of a container that may not be more than planned.
func (c *Containers) spawnEarly(ctx context.Context, id string, remove bool) *early {
	conn, err := c.spawnMonitor(ctx, id, remove)
	return &early{conn, err}
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
	conn := e.conn
	e.conn = nil
	return conn, e.err
}

// drop ends a monitor that nobody took.
func (e *early) drop() {
	if conn, err := e.take(); err == nil && conn != nil {
		conn.Close()
	}
}
