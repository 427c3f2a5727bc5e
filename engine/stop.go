package engine

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/internal/fault"
)

// StopRequest asks a container to end.
type StopRequest struct {
	Name    string
	Signal  string // "" is the container's own
	Timeout *int   // seconds; nil is the container's own, negative waits for ever
}

// defaultStopTimeout is docker's.
const defaultStopTimeout = 10

// Stop sends the stop signal, waits, and kills. A container that does not run
// is stopped already.
func (c *Containers) Stop(ctx context.Context, q StopRequest) error {
	rec, err := c.Find(q.Name)
	if err != nil {
		return err
	}
	return c.stop(ctx, rec, q, (*monitor.Conn).StopRestarting, func(r monitor.Removal) error { return c.gone(ctx, rec, r) })
}

// stop ends a container, if it runs, and goes on with then. The monitor is told
// by tell what that will be.
func (c *Containers) stop(ctx context.Context, rec *container.Container, q StopRequest, tell func(*monitor.Conn, context.Context) error, then func(monitor.Removal) error) error {
	conn, err := c.running(ctx, rec)
	if errors.Is(err, fault.NotRunning) {
		return then(monitor.Nobodys)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	sig, err := c.stopSignal(rec, q.Signal)
	if err != nil {
		return err
	}
	removal := monitor.Nobodys
	if err = quick(ctx, func(ctx context.Context) error { return tell(conn, ctx) }); err == nil {
		removal, err = c.end(ctx, conn, rec, sig, stopTimeout(rec, q.Timeout))
	}
	if errors.Is(err, fault.Unavailable) || errors.Is(err, fault.NotRunning) {
		// the monitor went away with the container, or died: the truth decides
		if s, terr := c.truth(ctx, rec.ID); terr != nil || !alive(s.State) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return then(removal)
}

// gone sees a container that was made with --rm removed after its end: the next
// one may want its name.
func (c *Containers) gone(ctx context.Context, rec *container.Container, r monitor.Removal) error {
	if r == monitor.Nobodys {
		return nil
	}
	return c.finish(ctx, rec)
}

func stopTimeout(rec *container.Container, asked *int) int {
	switch {
	case asked != nil:
		return *asked
	case rec.Request.StopTimeout != nil:
		return *rec.Request.StopTimeout
	}
	return defaultStopTimeout
}

// stopSignal is the one asked for, or what the monitor's configuration says.
func (c *Containers) stopSignal(rec *container.Container, asked string) (syscall.Signal, error) {
	if asked != "" {
		n, err := container.ParseSignal(asked)
		return syscall.Signal(n), err
	}
	records, err := c.records()
	if err != nil {
		return 0, err
	}
	cfg, err := monitor.ReadConfig(c.bundleDir(records, rec.ID))
	if err != nil || cfg.StopSignal == 0 {
		return syscall.SIGTERM, err
	}
	return syscall.Signal(cfg.StopSignal), nil
}

// patience bounds a question that a monitor answers at once.
const patience = 10 * time.Second

// quick asks a monitor something that it answers at once, or says that it does
// not answer.
func quick(ctx context.Context, ask func(context.Context) error) error {
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := ask(short)
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		return fault.New(fault.Unavailable, "the container's monitor does not answer; berth rm -f ends both")
	}
	return err
}

// end sends sig and, after seconds, SIGKILL, and waits for the end.
func (c *Containers) end(ctx context.Context, conn *monitor.Conn, rec *container.Container, sig syscall.Signal, seconds int) (monitor.Removal, error) {
	if err := quick(ctx, conn.Resume); err != nil && !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.NotRunning) && !errors.Is(err, fault.Unavailable) {
		return monitor.Nobodys, err // a paused container would not see the signal
	}
	if err := quick(ctx, func(ctx context.Context) error { return conn.Signal(ctx, sig) }); err != nil {
		if errors.Is(err, fault.NotRunning) || errors.Is(err, fault.Unavailable) {
			return monitor.Nobodys, err
		}
		seconds = min(max(seconds, 0), 2) // it cannot be sent: docker waits two seconds
	}
	if seconds != 0 {
		removal, done, err := c.ended(ctx, conn, rec, seconds)
		if done || err != nil {
			return removal, err
		}
	}
	if err := quick(ctx, killAll(conn)); err != nil {
		return monitor.Nobodys, err
	}
	removal, done, err := c.ended(ctx, conn, rec, int(killPatience/time.Second))
	if err == nil && !done {
		err = fault.New(fault.Unavailable, "container %s did not end %v after SIGKILL", rec.Name, killPatience)
	}
	return removal, err
}

func killAll(conn *monitor.Conn) func(context.Context) error {
	return func(ctx context.Context) error { return conn.SignalAll(ctx, syscall.SIGKILL) }
}

// ended waits for the container's end for some seconds, negative for ever.
func (c *Containers) ended(ctx context.Context, conn *monitor.Conn, rec *container.Container, seconds int) (r monitor.Removal, done bool, err error) {
	wait := ctx
	if seconds >= 0 {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
		defer cancel()
	}
	_, r, err = c.reap(wait, conn, rec)
	if err != nil && wait.Err() != nil && ctx.Err() == nil {
		return monitor.Nobodys, false, nil
	}
	return r, err == nil, err
}

// Restart stops a container if it runs, and starts it. The lock keeps others
// from starting it in between, and from removing it: they find it started.
func (c *Containers) Restart(ctx context.Context, q StopRequest) error {
	rec, err := c.Find(q.Name)
	if err != nil {
		return err
	}
	records, err := c.records()
	if err != nil {
		return err
	}
	lock, err := c.lock(records, rec)
	if err != nil {
		return err
	}
	defer lock.Close()
	return c.stop(ctx, rec, q, (*monitor.Conn).Keep, func(r monitor.Removal) error {
		if r == monitor.Others { // it had ended before the monitor heard of us
			return fault.New(fault.NotRunning, "container %s has ended and is being removed", rec.Name)
		}
		conn, err := c.launchLocked(ctx, records, rec, Streams{})
		if err != nil {
			return err
		}
		return conn.Close()
	})
}
