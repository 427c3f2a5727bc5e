package engine

import (
	"context"
	"errors"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/snapshot"
)

// Details is all that is known of a container.
type Details struct {
	Container *container.Container
	Status    container.Status
	Image     *image.Image  // nil: --rootfs, or removed since
	Spec      *specs.Spec   // nil: its creation was interrupted
	Rootfs    []mount.Mount // of the writable tree
	Dir       string        // the record's directory
	LogPath   string        // "" with the log driver none
	Sizes                   // when asked for
}

// Inspect looks at one container.
func (c *Containers) Inspect(ctx context.Context, name string) (Details, error) {
	rec, err := c.Find(name)
	if err != nil {
		return Details{}, err
	}
	records, err := c.records()
	if err != nil {
		return Details{}, err
	}
	d := Details{Container: rec, Dir: records.Dir(rec.ID), LogPath: c.logFile(records, rec)}
	if d.Status, err = c.truth(ctx, rec.ID); err != nil {
		return d, err
	}
	if d.Image, err = c.imageOf(rec); err != nil {
		return d, err
	}
	var spec specs.Spec
	if disk.ReadJSON(filepath.Join(c.bundleDir(records, rec.ID), "config.json"), &spec) == nil {
		d.Spec = &spec
	}
	if rec.Snapshot != "" {
		trees, err := c.trees()
		if err != nil {
			return d, err
		}
		d.Rootfs, _ = trees.Mounts(snapshot.Key(rec.Snapshot), c.floor()) // an interrupted creation has none
	}
	return d, nil
}

// imageOf is the image that a container was made of, nil when there is none
// any more.
func (r *rooms) imageOf(rec *container.Container) (*image.Image, error) {
	if rec.Image == "" {
		return nil, nil
	}
	images, err := r.images()
	if err != nil {
		return nil, err
	}
	name := rec.Image
	if rec.ImageRef == image.HostName {
		name = image.HostName
	}
	img, err := images.Resolve(name)
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &img, nil
}
