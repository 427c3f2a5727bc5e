package image

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// LoadOptions tunes Load and LoadDir.
type LoadOptions struct {
	// Platform chooses from archives for several; empty means this machine's.
	Platform string
	// Progress is told what happens, one call at a time.
	Progress func(Event)
}

// Loaded is one image of an archive under one of its names.
type Loaded struct {
	Ref   string // full name with tag; empty when the archive gives none
	Image Image
}

// Load reads the images of an archive: what docker save writes, an OCI layout
// as a tar, or both in one; gzip, zstd or plain.
func (s *Store) Load(ctx context.Context, r io.Reader, o LoadOptions) ([]Loaded, error) {
	drop, err := s.take(lease{All: true}) // what the archive holds is known at its end
	if err != nil {
		return nil, err
	}
	out, err := s.loadTar(ctx, r, o)
	drop()
	if _, serr := s.Sweep(); err == nil {
		err = serr
	}
	return out, archiveError("load", r, err)
}

// archiveError names the file that an archive is read from, if there is one,
// and says what a missing end means.
func archiveError(op string, r io.Reader, err error) error {
	object := ""
	if f, ok := r.(interface{ Name() string }); ok {
		object = f.Name()
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fault.New(fault.Damaged, "%w: the archive is cut off; fetch or write it again", err)
	}
	return fault.Op(op, object, err)
}

func (s *Store) loadTar(ctx context.Context, r io.Reader, o LoadOptions) ([]Loaded, error) {
	a, err := s.spool(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := s.reached("spooled"); err != nil {
		return nil, err
	}
	return s.loadFrom(ctx, a, o)
}

// files is what a layout or docker archive is read from.
type files interface {
	blob.Source
	// text returns a small file, fault.NotFound when there is none.
	text(name string, limit int64) ([]byte, error)
	// lookup describes the content of a file by its path.
	lookup(name string) (ocispec.Descriptor, error)
}

// offered is one image that an archive offers.
type offered struct {
	top   ocispec.Descriptor
	body  []byte // of top, when it is not in the archive itself
	names []string
}

// loadFrom installs every image that the files offer for the platform.
func (s *Store) loadFrom(ctx context.Context, f files, o LoadOptions) ([]Loaded, error) {
	platform, err := parsePlatform(o.Platform)
	if err != nil {
		return nil, err
	}
	list, tags, err := offers(ctx, f)
	if err != nil {
		return nil, err
	}
	tell := serial(o.Progress)
	var out []Loaded
	var other error
	for _, of := range list {
		c, err := describe(ctx, f, of.top, of.body, platform)
		var wrong *platformError
		if errors.As(err, &wrong) {
			other = err // a layout may hold the same image for several machines
			continue
		}
		if err != nil {
			return out, err
		}
		names := union(of.names, tags[c.id()])
		img, err := s.install(ctx, f, c, names, tell)
		if err != nil {
			return out, err
		}
		out = append(out, loaded(img, names)...)
	}
	if len(out) == 0 && other != nil {
		return nil, other
	}
	return out, nil
}

func loaded(img Image, names []string) []Loaded {
	if len(names) == 0 {
		return []Loaded{{Image: img}}
	}
	var out []Loaded
	for _, n := range names {
		out = append(out, Loaded{Ref: n, Image: img})
	}
	return out
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// offers reads the table of contents. Where both forms are there, the OCI
// index leads, because it names manifests, and docker's manifest.json adds
// names to the image IDs it lists.
func offers(ctx context.Context, f files) ([]offered, map[digest.Digest][]string, error) {
	docker, derr := f.text("manifest.json", blob.MaxManifest)
	layout, oerr := f.text("index.json", blob.MaxManifest)
	for _, err := range []error{derr, oerr} {
		if err != nil && !errors.Is(err, fault.NotFound) {
			return nil, nil, err
		}
	}
	switch {
	case oerr == nil:
		list, err := layoutOffers(f, layout)
		if err != nil || derr != nil {
			return list, nil, err
		}
		tags, err := dockerTags(f, docker)
		return list, tags, err
	case derr == nil:
		list, err := dockerOffers(ctx, f, docker)
		return list, nil, err
	}
	if _, err := f.lookup("repositories"); err == nil {
		return nil, nil, fault.New(fault.Unsupported, "the archive is from a docker older than 1.10: load and save it with a newer docker first")
	}
	return nil, nil, fault.New(fault.Invalid, "the archive has neither manifest.json nor index.json: it is no image (a root file system goes to berth import)")
}
