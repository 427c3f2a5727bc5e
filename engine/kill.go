package engine

import (
	"context"
	"errors"
	"syscall"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/internal/fault"
)

// KillRequest sends a signal to a container's first process.
type KillRequest struct {
	Name   string
	Signal string // "" is SIGKILL
}

// Kill sends the signal. SIGKILL also waits for the end, so that what follows
// finds the container stopped. A stop signal counts as a manual stop: the
// restart policy does not bring the container back.
func (c *Containers) Kill(ctx context.Context, q KillRequest) error {
	rec, err := c.Find(q.Name)
	if err != nil {
		return err
	}
	sig := syscall.SIGKILL
	if q.Signal != "" {
		n, err := container.ParseSignal(q.Signal)
		if err != nil {
			return err
		}
		sig = syscall.Signal(n)
	}
	conn, err := c.running(ctx, rec)
	if err != nil {
		return cannotKill(rec, err)
	}
	defer conn.Close()
	stop, err := c.stopSignal(rec, "")
	if err != nil {
		return err
	}
	if sig == syscall.SIGKILL || sig == stop {
		if err := quick(ctx, conn.StopRestarting); err != nil {
			return cannotKill(rec, err)
		}
	}
	if sig != syscall.SIGKILL {
		return cannotKill(rec, quick(ctx, func(ctx context.Context) error { return conn.Signal(ctx, sig) }))
	}
	if err := quick(ctx, killAll(conn)); err != nil {
		return cannotKill(rec, err)
	}
	removal, _, err := c.ended(ctx, conn, rec, 10)
	if errors.Is(err, fault.Unavailable) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.gone(ctx, rec, removal)
}

func cannotKill(rec *container.Container, err error) error {
	if err == nil {
		return nil
	}
	return fault.Op("cannot kill container: "+rec.Name, "", err)
}
