package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/engine/detach"
	"github.com/berth-engine/berth/internal/fault"
)

// AttachRequest asks for the streams of a container.
type AttachRequest struct {
	Name    string
	Streams Streams
}

// Attach joins a running container until it ends, and says how. When the user
// types the detach keys the error is detach.ErrDetached and the container goes
// on. Nothing written before is replayed.
func (c *Containers) Attach(ctx context.Context, q AttachRequest) (container.ExitStatus, error) {
	rec, err := c.Find(q.Name)
	if err != nil {
		return container.ExitStatus{}, err
	}
	conn, err := c.running(ctx, rec)
	if err != nil {
		return container.ExitStatus{}, err
	}
	if err := conn.Attach(ctx, q.Streams.attach(rec)); err != nil {
		conn.Close()
		return container.ExitStatus{}, err
	}
	return c.follow(ctx, rec, conn, q.Streams)
}

// StartAttached starts a container and stays with it until it ends.
func (c *Containers) StartAttached(ctx context.Context, q AttachRequest) (container.ExitStatus, error) {
	rec, err := c.Find(q.Name)
	if err != nil {
		return container.ExitStatus{}, err
	}
	conn, err := c.launch(ctx, rec, q.Streams)
	if errors.Is(err, errAlready) {
		return c.Attach(ctx, q)
	}
	if err != nil {
		return container.ExitStatus{}, err
	}
	return c.follow(ctx, rec, conn, q.Streams)
}

// attach lowers streams to what a monitor's client wants.
func (s *Streams) attach(rec *container.Container) monitor.AttachOptions {
	o := monitor.AttachOptions{Stdout: s.Out, Stderr: s.Err, Rows: s.First.Rows, Cols: s.First.Cols}
	if s.In != nil && rec.Request.OpenStdin {
		o.Stdin = s.In
		if rec.Request.TTY {
			o.Stdin = detach.NewReader(s.In, s.Keys)
		}
	}
	return o
}

// follow stays with an attached container: hands on signals and sizes, waits
// for its end, and removes it when it was made with --rm. When its monitor is
// killed the container is followed through the next one.
func (c *Containers) follow(ctx context.Context, rec *container.Container, conn *monitor.Conn, s Streams) (container.ExitStatus, error) {
	defer conn.Close()
	stop := s.relay(ctx, conn)
	exit, removal, err := c.reap(ctx, conn, rec)
	stop()
	switch {
	case errors.Is(err, detach.ErrDetached):
		return exit, detach.ErrDetached
	case errors.Is(err, fault.Unavailable):
		if exit, err = c.refollow(ctx, rec, s); err != nil {
			return exit, err
		}
	case err != nil:
		return exit, err
	}
	if rec.Request.Remove && removal != monitor.Nobodys {
		return exit, c.finish(ctx, rec)
	}
	return exit, nil
}

// reap waits for the end. The tree of a container with --rm goes while the
// monitor still clears the rest, and the run directory while the tree goes:
// both wait for the disk. What hinders that shows when the container is removed.
func (c *Containers) reap(ctx context.Context, conn *monitor.Conn, rec *container.Container) (container.ExitStatus, monitor.Removal, error) {
	if !rec.Request.Remove {
		exit, err := conn.Wait(ctx)
		return exit, monitor.Nobodys, err
	}
	var tree sync.WaitGroup
	defer tree.Wait()
	exit, removal, err := conn.Reap(ctx, func() { tree.Go(func() { _ = c.removeTree(rec.Snapshot) }) })
	if removal == monitor.Mine {
		_ = c.removeRunDir(rec.ID)
	}
	return exit, removal, err
}

// refollow goes on after the monitor's death: output only, since what the
// dead connection had read of stdin is lost with it.
func (c *Containers) refollow(ctx context.Context, rec *container.Container, s Streams) (container.ExitStatus, error) {
	s.In = nil
	conn, err := c.running(ctx, rec)
	if err == nil {
		defer conn.Close()
		if err = conn.Attach(ctx, s.attach(rec)); err == nil {
			stop := s.relay(ctx, conn)
			exit, werr := conn.Wait(ctx)
			stop()
			if werr == nil {
				return exit, nil
			}
		}
	}
	return c.await(ctx, rec)
}

// relay hands on signals and sizes until stop is called.
func (s *Streams) relay(ctx context.Context, conn *monitor.Conn) (stop func()) {
	if s.Signals == nil && s.Sizes == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		signals, sizes := s.Signals, s.Sizes
		for {
			select {
			case sig, ok := <-signals:
				if !ok {
					signals = nil
					continue
				}
				_ = conn.Signal(ctx, sig) // a container that has ended needs none
			case size, ok := <-sizes:
				if !ok {
					sizes = nil
					continue
				}
				_ = conn.Resize(ctx, size.Rows, size.Cols)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}
