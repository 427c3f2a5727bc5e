package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/internal/fault"
)

// Find looks a container up by full id, name or unique prefix of its id.
func (c *Containers) Find(name string) (*container.Container, error) {
	records, err := c.records()
	if err != nil {
		return nil, err
	}
	return records.Find(name)
}

// alive reports whether a state needs a living payload or monitor.
func alive(s container.State) bool {
	return s == container.Running || s == container.Paused || s == container.Restarting
}

// truth is the status of a container as it is, not as it was last written: a
// payload without a monitor gets one, or its record is put right.
func (r *rooms) truth(ctx context.Context, id string) (container.Status, error) {
	records, err := r.records()
	if err != nil {
		return container.Status{}, err
	}
	s, err := container.ReadStatus(records.StatusFile(id))
	if err != nil || !alive(s.State) {
		return s, err
	}
	return r.check(ctx, id, s)
}

// check puts a status right that says alive.
func (r *rooms) check(ctx context.Context, id string, s container.Status) (container.Status, error) {
	records, err := r.records()
	if err != nil {
		return s, err
	}
	if !s.MonitorAlive() {
		conn, err := r.ensure(ctx, id)
		switch {
		case err == nil:
			conn.Close()
		case !errors.Is(err, fault.NotRunning):
			return s, err
		}
		return container.ReadStatus(records.StatusFile(id))
	}
	// The payload may have died this very moment: its monitor is about to say so.
	for range 40 {
		if !alive(s.State) || s.State == container.Restarting || s.Alive() || !s.MonitorAlive() {
			break
		}
		time.Sleep(5 * time.Millisecond)
		if s, err = container.ReadStatus(records.StatusFile(id)); err != nil {
			return s, err
		}
	}
	return s, nil
}

// ensure connects to the monitor of a container, starting one for a payload
// whose monitor was killed.
func (r *rooms) ensure(ctx context.Context, id string) (*monitor.Conn, error) {
	records, err := r.records()
	if err != nil {
		return nil, err
	}
	exe, err := r.runtime()
	if err != nil {
		return nil, err
	}
	conn, err := monitor.Ensure(ctx, exe, r.bundleDir(records, id))
	if errors.Is(err, os.ErrNotExist) {
		err = fault.New(fault.NotRunning, "container %s is not running", id)
		return nil, errors.Join(err, r.bury(records, id))
	}
	return conn, err
}

// bury puts the record right of a container whose run directory is gone, most
// likely with a restart of the machine, while it says that the payload lives.
func (r *rooms) bury(records *container.Store, id string) error {
	path := records.StatusFile(id)
	s, err := container.ReadStatus(path)
	if err != nil || !alive(s.State) || s.MonitorAlive() || s.Alive() {
		return err
	}
	s.State, s.Pid, s.StartTicks, s.MonitorPid, s.MonitorTicks = container.Exited, 0, 0, 0, 0
	s.Exit = &container.ExitStatus{Code: 255, Unknown: true, Cause: "nobody saw how it ended: its run directory is gone"}
	s.FinishedAt = time.Now().UTC()
	return container.WriteStatus(path, s, false)
}

// running is ensure with docker's words for a container that does not run.
func (r *rooms) running(ctx context.Context, rec *container.Container) (*monitor.Conn, error) {
	records, err := r.records()
	if err != nil {
		return nil, err
	}
	s, err := container.ReadStatus(records.StatusFile(rec.ID))
	if err != nil {
		return nil, err
	}
	if alive(s.State) {
		conn, err := r.ensure(ctx, rec.ID)
		if err == nil || !errors.Is(err, fault.NotRunning) {
			return conn, err
		}
	}
	return nil, notRunning(rec)
}

func notRunning(rec *container.Container) error {
	return fault.New(fault.NotRunning, "container %s is not running", rec.ID)
}

// whole says what is wrong with a container whose creation was cut short.
func (r *rooms) whole(records *container.Store, rec *container.Container) error {
	if _, err := os.Lstat(filepath.Join(r.bundleDir(records, rec.ID), monitor.ConfigFile)); err != nil {
		return fault.New(fault.Damaged, "container %s was never finished, its creation was interrupted; remove it with berth rm %s", rec.Name, rec.ID[:container.ShortLen])
	}
	return nil
}
