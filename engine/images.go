package engine

import (
	"context"
	"errors"
	"io"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/internal/fault"
)

// Pull fetches an image.
func (i *Images) Pull(ctx context.Context, name string, o image.PullOptions) (image.PullResult, error) {
	s, err := i.images()
	if err != nil {
		return image.PullResult{}, err
	}
	return s.Pull(ctx, name, o)
}

// List returns all images, the newest first.
func (i *Images) List() ([]image.Image, error) {
	s, err := i.images()
	if err != nil {
		return nil, err
	}
	return s.List()
}

// Resolve finds an image by name, digest or id.
func (i *Images) Resolve(name string) (image.Image, error) {
	s, err := i.images()
	if err != nil {
		return image.Image{}, err
	}
	return s.Resolve(name)
}

// Tag gives an image another name.
func (i *Images) Tag(src, dst string) error {
	s, err := i.images()
	if err != nil {
		return err
	}
	return s.Tag(src, dst)
}

// Load reads images from an archive.
func (i *Images) Load(ctx context.Context, r io.Reader, o image.LoadOptions) ([]image.Loaded, error) {
	s, err := i.images()
	if err != nil {
		return nil, err
	}
	return s.Load(ctx, r, o)
}

// LoadDir reads images from an OCI layout directory.
func (i *Images) LoadDir(ctx context.Context, dir string, o image.LoadOptions) ([]image.Loaded, error) {
	s, err := i.images()
	if err != nil {
		return nil, err
	}
	return s.LoadDir(ctx, dir, o)
}

// Save writes images to one archive.
func (i *Images) Save(ctx context.Context, w io.Writer, names []string) error {
	s, err := i.images()
	if err != nil {
		return err
	}
	return s.Save(ctx, w, names)
}

// Import makes an image of a root file system's tar.
func (i *Images) Import(ctx context.Context, r io.Reader, ref string, o image.ImportOptions) (image.Image, error) {
	s, err := i.images()
	if err != nil {
		return image.Image{}, err
	}
	return s.Import(ctx, r, ref, o)
}

// Remove untags or deletes an image that no container needs. With force,
// containers that do not run are no obstacle: they keep their tree.
func (i *Images) Remove(ctx context.Context, name string, force bool) ([]image.Removed, error) {
	s, err := i.images()
	if err != nil {
		return nil, err
	}
	users, err := i.users(ctx)
	if err != nil {
		return nil, err
	}
	return s.Remove(name, image.RemoveOptions{Force: force, InUse: func(img image.Image) []string {
		return users[img.ID.String()]
	}})
}

// users lists for each image id the containers made of it, in words.
func (i *Images) users(ctx context.Context) (map[string][]string, error) {
	items, err := (&Containers{i.rooms}).List(ctx, ListRequest{All: true})
	if err != nil && !errors.Is(err, fault.Damaged) {
		return nil, err
	}
	users := map[string][]string{}
	for _, it := range items {
		state := "stopped"
		if alive(it.Status.State) {
			state = "running"
		}
		users[it.Image] = append(users[it.Image], state+" container "+it.ID[:container.ShortLen])
	}
	return users, nil
}
