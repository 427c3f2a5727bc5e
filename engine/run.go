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
	Streams  Streams
	Progress func(image.Event)
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
	rec, warn, err := c.create(ctx, CreateRequest{Request: q.Request, Progress: q.Progress, Detached: q.Detach}, id)
	if err != nil {
		return RunResult{}, err
	}
	res := RunResult{ID: rec.ID, Warnings: warn}
	s := q.Streams
	if q.Detach {
		s = Streams{}
	}
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
