package engine

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
)

// Start starts a container that does not run. One that runs is left alone.
func (c *Containers) Start(ctx context.Context, name string) error {
	rec, err := c.Find(name)
	if err != nil {
		return err
	}
	conn, err := c.launch(ctx, rec, Streams{})
	if errors.Is(err, errAlready) {
		return nil
	}
	if err != nil {
		return err
	}
	return conn.Close()
}

// errAlready: somebody started it before.
var errAlready = fault.New(fault.Conflict, "container is already running")

// launch starts rec with the streams attached and returns the connection to
// its monitor. One start at a time: the lock is on the container.
func (c *Containers) launch(ctx context.Context, rec *container.Container, s Streams) (*monitor.Conn, error) {
	records, err := c.records()
	if err != nil {
		return nil, err
	}
	lock, err := c.lock(records, rec)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	return c.launchLocked(ctx, records, rec, s)
}

func (c *Containers) launchLocked(ctx context.Context, records *container.Store, rec *container.Container, s Streams) (*monitor.Conn, error) {
	if err := c.startable(ctx, records, rec); err != nil {
		return nil, err
	}
	return c.spawn(ctx, rec, s, c.spawnEarly(ctx, rec.ID, rec.Request.Remove))
}

// lock serialises starting and removing a container.
func (c *Containers) lock(records *container.Store, rec *container.Container) (*disk.Lock, error) {
	lock, err := records.Lock(rec.ID)
	if errors.Is(err, fault.NotFound) { // removed, perhaps while we waited
		return nil, fault.New(fault.NotFound, "No such container: %s", rec.ID)
	}
	return lock, err
}

func (c *Containers) startable(ctx context.Context, records *container.Store, rec *container.Container) error {
	if err := c.whole(records, rec); err != nil && !rec.Request.Remove {
		return err
	}
	s, err := c.truth(ctx, rec.ID)
	if err != nil {
		return err
	}
	if s.State == container.Running || s.State == container.Restarting {
		return errAlready
	}
	if _, err := container.Next(s.State, container.Start); err != nil {
		return err
	}
	if err := c.remount(rec); err != nil {
		return err
	}
	return c.rejoin(rec)
}

// remount makes the tree of a container fit to be mounted again. With --rm, to
// say how it is to be mounted takes away the mark of the last time.
func (c *Containers) remount(rec *container.Container) error {
	if rec.Snapshot == "" {
		return nil
	}
	if err := c.makeFloor(); err != nil {
		return err
	}
	if !rec.Request.Remove {
		return nil
	}
	trees, err := c.trees()
	if err != nil {
		return err
	}
	_, err = trees.MountsVolatile(snapshot.Key(rec.Snapshot), c.floor())
	return err
}

// rejoin renews the bundle of a container that shares namespaces of another,
// whose paths are of the other's present process, and of one whose bundle went
// with a restart of the machine.
func (c *Containers) rejoin(rec *container.Container) error {
	records, err := c.records()
	if err != nil {
		return err
	}
	lost := c.whole(records, rec) != nil
	if !joins(&rec.Request) && !lost {
		return nil
	}
	img, err := c.imageOf(rec)
	if err != nil {
		return err
	}
	old, err := monitor.ReadConfig(c.bundleDir(records, rec.ID))
	if err != nil && !lost {
		return err
	}
	b, err := c.plan(rec, img, !old.StdinOnce)
	if err != nil {
		return err
	}
	return c.write(b)
}

func joins(r *container.Request) bool {
	for _, mode := range []string{r.Network, r.PID, r.IPC} {
		if strings.HasPrefix(mode, "container:") {
			return true
		}
	}
	return false
}

// spawn starts the payload through the monitor m, which ends when that fails.
func (c *Containers) spawn(ctx context.Context, rec *container.Container, s Streams, m *early) (*monitor.Conn, error) {
	defer m.drop()
	if err := c.cfg.Fail("run directory"); err != nil {
		return nil, err
	}
	if err := c.makeOwn(c.runDir(rec.ID)); err != nil {
		return nil, err
	}
	if rec.Request.IPC == "shareable" {
		if err := mountShm(filepath.Join(c.runDir(rec.ID), shmDir), rec.Request.ShmSize); err != nil {
			return nil, err
		}
	}
	if err := c.cfg.Fail("monitor"); err != nil {
		return nil, err
	}
	conn, err := m.take()
	if err != nil {
		return nil, err
	}
	if err := conn.Start(ctx, s.attach(rec)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
