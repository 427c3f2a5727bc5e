package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/bundle"
	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
)

// CreateRequest asks for a container.
type CreateRequest struct {
	Request  container.Request
	Progress func(image.Event) // of a pull, if there is one; may be nil
	// Detached: nobody will attach to this start, so the end of a client's
	// stdin does not end the container's.
	Detached bool

	pulled func() error // the image is there; may be nil
}

// CreateResult is what was made.
type CreateResult struct {
	ID       string
	Warnings []string
}

// Create makes a container and does not start it.
//
//	image ─► record ─► writable tree ─► spec ─► bundle ─► cidfile
//	            │          undone in reverse when a step fails
//	            └─ whoever is killed from here on leaves a record, so rm finds
//	               the rest: tree, bundle and run directory have the record's id
func (c *Containers) Create(ctx context.Context, q CreateRequest) (CreateResult, error) {
	rec, warn, err := c.create(ctx, q, container.NewID())
	if err != nil {
		return CreateResult{}, err
	}
	return CreateResult{rec.ID, warn}, nil
}

// create is Create with an id that is chosen.
func (c *Containers) create(ctx context.Context, q CreateRequest, id string) (rec *container.Container, warn []string, err error) {
	r := &q.Request
	if err := checkRequest(r); err != nil {
		return nil, nil, err
	}
	img, err := c.image(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	if q.pulled != nil {
		if err := q.pulled(); err != nil {
			return nil, nil, err
		}
	}
	records, err := c.records()
	if err != nil {
		return nil, nil, err
	}
	rec, err = newRecord(id, r, img)
	if err != nil {
		return nil, nil, err
	}
	key := snapshot.Key(rec.Snapshot) // rec is nil by the time the undo runs
	undo := cleanup.New()
	defer func() {
		if uerr := undo.Run(); uerr != nil {
			err = errors.Join(err, fault.Op("undo", "", uerr))
		}
	}()

	if err := c.cfg.Fail("record"); err != nil {
		return nil, nil, err
	}
	if err := records.Create(rec); err != nil {
		return nil, nil, unwrapName(err)
	}
	undo.Add(func() error { return records.Remove(id) })

	if rec.Snapshot != "" {
		if err := c.cfg.Fail("snapshot"); err != nil {
			return nil, nil, err
		}
		trees, err := c.trees()
		if err != nil {
			return nil, nil, err
		}
		if err := trees.Prepare(key, img.Top); err != nil {
			return nil, nil, err
		}
		undo.Add(func() error { return trees.Remove(key) })
	}

	b, err := c.plan(rec, img, q.Detached)
	if err != nil {
		return nil, nil, err
	}
	if r.Remove {
		undo.Add(func() error { return c.removeRunDir(id) })
	}
	if err := c.write(b); err != nil {
		return nil, nil, err
	}

	if err := c.cfg.Fail("cidfile"); err != nil {
		return nil, nil, err
	}
	if err := writeCIDFile(r.CIDFile, rec.ID); err != nil {
		return nil, nil, err
	}
	undo.Release()
	return rec, b.warnings, nil
}

// checkRequest refuses what contradicts itself whatever the machine.
func checkRequest(r *container.Request) error {
	if r.Remove && r.Restart.Name != "" && r.Restart.Name != "no" {
		return fault.New(fault.Invalid, "conflicting options: cannot specify both --restart and --rm")
	}
	if r.Name != "" {
		if err := container.CheckName(r.Name); err != nil {
			return err
		}
	}
	for _, f := range []string{r.CIDFile, r.PIDFile} {
		if f != "" && !filepath.IsAbs(f) {
			return fault.New(fault.Invalid, "%s: the path must be absolute", f)
		}
	}
	if r.CIDFile != "" {
		if _, err := os.Lstat(r.CIDFile); err == nil {
			return fault.New(fault.Conflict, "container ID file found, make sure the other container isn't running or delete %s", r.CIDFile)
		}
	}
	for _, m := range r.Mounts {
		if m.Type != "bind" || m.MakeSource {
			continue
		}
		if _, err := os.Stat(m.Source); errors.Is(err, fs.ErrNotExist) {
			return fault.New(fault.Invalid, `invalid mount config for type "bind": bind source path does not exist: %s`, m.Source)
		}
	}
	if r.Rootfs != "" {
		st, err := os.Stat(r.Rootfs)
		if err != nil {
			return fault.New(fault.NotFound, "--rootfs: %w", err)
		}
		if !st.IsDir() {
			return fault.New(fault.Invalid, "--rootfs %s: not a directory", r.Rootfs)
		}
	}
	return nil
}

// image finds or fetches the image; with --rootfs there is none.
func (c *Containers) image(ctx context.Context, q CreateRequest) (*image.Image, error) {
	r := &q.Request
	if r.Rootfs != "" {
		return nil, nil
	}
	images, err := c.images()
	if err != nil {
		return nil, err
	}
	img, err := images.Ensure(ctx, r.Image, image.PullOptions{
		Platform: r.Platform, Policy: image.Policy(r.Pull), Progress: q.Progress,
	})
	if err != nil {
		return nil, err
	}
	return &img, nil
}

func newRecord(id string, r *container.Request, img *image.Image) (*container.Container, error) {
	args, err := bundle.Command(r, configOf(img))
	if err == nil {
		err = checkProgram(args)
	}
	if err != nil {
		return nil, err
	}
	rec := &container.Container{
		ID: id, Name: r.Name, Created: time.Now(),
		Path: args[0], Args: args[1:], Request: *r,
	}
	if img != nil {
		rec.Image, rec.ImageRef = img.ID.String(), r.Image
		rec.Snapshot = rec.ID
	}
	return rec, nil
}

// unwrapName keeps docker's sentence for a taken name free of our own prefix.
func unwrapName(err error) error {
	if !errors.Is(err, fault.Conflict) {
		return err
	}
	if _, text, ok := strings.Cut(err.Error(), "Conflict. "); ok {
		return fault.New(fault.Conflict, "Conflict. %s", text)
	}
	return err
}

func writeCIDFile(path, id string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fault.New(fault.Invalid, "failed to create the container ID file: %w", err)
	}
	_, err = f.WriteString(id)
	return errors.Join(err, f.Close())
}
