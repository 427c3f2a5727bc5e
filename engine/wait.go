package engine

import (
	"context"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
)

// Wait returns how a container ended, when it has: at once for one that does
// not run.
func (c *Containers) Wait(ctx context.Context, name string) (container.ExitStatus, error) {
	rec, err := c.Find(name)
	if err != nil {
		return container.ExitStatus{}, err
	}
	records, err := c.records()
	if err != nil {
		return container.ExitStatus{}, err
	}
	s, err := container.ReadStatus(records.StatusFile(rec.ID))
	if err != nil {
		return container.ExitStatus{}, err
	}
	if !alive(s.State) {
		if s.Exit == nil {
			return container.ExitStatus{}, nil
		}
		return *s.Exit, nil
	}
	return c.await(ctx, rec)
}

// await waits for the end whatever happens to monitors meanwhile.
func (c *Containers) await(ctx context.Context, rec *container.Container) (container.ExitStatus, error) {
	records, err := c.records()
	if err != nil {
		return container.ExitStatus{}, err
	}
	exe, err := c.runtime()
	if err != nil {
		return container.ExitStatus{}, err
	}
	return monitor.Await(ctx, exe, c.bundleDir(records, rec.ID))
}
