package engine

import (
	"context"
	"errors"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image"
)

// RunRequest asks for a container that is started at once.
type RunRequest struct {
	Request  container.Request
	Detach   bool // return when it runs
	Progress func(image.Event)
	// Attach gives the client's end. It is asked for once the image is there:
	// until then terminal and signals are the user's. Nil with Detach.
	Attach func() (Streams, error)
}

// RunResult is what became of it. With an error the ID may be set: the
// container is there, and was not started.
type RunResult struct {
	ID       string
	Exit     container.ExitStatus
	Warnings []string
}

// Run creates, starts and, unless Detach is set, follows a container to its
// end. One made with --rm is gone when Run returns, also when it could not be
// started.
func (c *Containers) Run(ctx context.Context, q RunRequest) (RunResult, error) {
	id := container.NewID()
	m := c.spawnEarly(ctx, id, q.Request.Remove)
	defer m.drop()
	var s Streams
	create := CreateRequest{Request: q.Request, Progress: q.Progress, Detached: q.Detach}
	if q.Attach != nil {
		create.pulled = func() (err error) {
			s, err = q.Attach()
			return err
		}
	}
	rec, warn, err := c.create(ctx, create, id)
	if err != nil {
		return RunResult{}, err
	}
	res := RunResult{ID: rec.ID, Warnings: warn}
	// Nobody else can know of it before it has started, so no lock is taken.
	conn, err := c.spawn(ctx, rec, s, m)
	if err != nil {
		if rec.Request.Remove {
			err = errors.Join(err, c.finish(ctx, rec))
		}
		return res, err
	}
	if q.Detach {
		return res, conn.Close()
	}
	res.Exit, err = c.follow(ctx, rec, conn, s)
	return res, err
}
