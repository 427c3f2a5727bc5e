package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
)

// ExplainRequest asks what a run would do.
type ExplainRequest struct {
	Request container.Request
	Calls   bool // with the system calls of each step
}

// Explain writes the plan of a container that is not made. What the planner
// reads, a bundle in a temporary directory, is gone when it returns; the
// planner itself is the runtime's, asked to explain.
func (c *Containers) Explain(ctx context.Context, q ExplainRequest, w io.Writer) (err error) {
	r := &q.Request
	r.CIDFile, r.PIDFile = "", ""
	if err := checkRequest(r); err != nil {
		return err
	}
	img, err := c.image(ctx, CreateRequest{Request: *r})
	if err != nil {
		return err
	}
	rec, err := newRecord(container.NewID(), r, img)
	if err != nil {
		return err
	}
	undo := cleanup.New()
	defer func() { err = errors.Join(err, undo.Run()) }()
	if rec.Snapshot != "" {
		trees, err := c.trees()
		if err != nil {
			return err
		}
		if err := trees.Prepare(snapshot.Key(rec.Snapshot), img.Top); err != nil {
			return err
		}
		undo.Add(func() error { return trees.Remove(snapshot.Key(rec.Snapshot)) })
	}
	b, err := c.plan(rec, img, true)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "berth-explain-")
	if err != nil {
		return err
	}
	undo.Add(func() error { return os.RemoveAll(dir) })
	b.dir, b.durable, b.files, b.makeDirs = dir, false, nil, nil
	if rec.Snapshot != "" {
		b.spec.Root.Path = filepath.Join(dir, "rootfs")
	}
	if err := c.write(b); err != nil {
		return err
	}
	return c.explain(ctx, dir, q.Calls, w)
}

func (c *Containers) explain(ctx context.Context, dir string, calls bool, w io.Writer) error {
	exe, err := c.runtime()
	if err != nil {
		return err
	}
	args := []string{"explain"}
	if calls {
		args = append(args, "--calls")
	}
	args = append(args, dir)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Stdout, cmd.Stderr = w, &stderr
	err = cmd.Run()
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		if ws, ok := ee.Sys().(syscall.WaitStatus); ok && ws.Signal() == syscall.SIGPIPE {
			return nil // whoever reads has seen enough
		}
		text := strings.TrimSpace(strings.TrimPrefix(stderr.String(), "berth-oci: "))
		return fault.New(fault.Invalid, "%s", cmp.Or(text, ee.Error()))
	}
	return fault.Op("explain", exe, err)
}
