package image

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/under"
)

// containerdName is where docker and containerd put the full name into an OCI
// index; image-spec's own annotation holds a tag only, with most tools.
const containerdName = "io.containerd.image.name"

// layoutOffers reads index.json of an OCI layout.
func layoutOffers(f files, index []byte) ([]offered, error) {
	text, err := f.text(ocispec.ImageLayoutFile, 4096)
	if err != nil {
		return nil, fault.New(fault.Invalid, "OCI layout: %s: %w", ocispec.ImageLayoutFile, err)
	}
	var layout ocispec.ImageLayout
	if err := decode(ocispec.ImageLayoutFile, text, &layout); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(layout.Version, "1.") {
		return nil, fault.New(fault.Unsupported, "OCI layout has version %q, supported is 1", clean(layout.Version))
	}
	doc, err := parseDocument(ocispec.MediaTypeImageIndex, index)
	if err != nil {
		return nil, fault.Op("index.json", "", err)
	}
	var out []offered
	for _, d := range doc.Manifests {
		if d.Annotations["vnd.docker.reference.type"] != "" {
			continue
		}
		names, err := layoutNames(d)
		if err != nil {
			return nil, err
		}
		out = offer(out, offered{top: plainDescriptor(d), names: names})
	}
	return out, nil
}

// offer adds an image, or its names to the same one: an index has an entry
// for each name.
func offer(list []offered, of offered) []offered {
	for i := range list {
		if list[i].top.Digest == of.top.Digest {
			list[i].names = union(list[i].names, of.names)
			return list
		}
	}
	return append(list, of)
}

// layoutNames are the full names that an index gives one of its entries. A
// mere tag, as umoci writes it, names no repository and is not used.
func layoutNames(d ocispec.Descriptor) ([]string, error) {
	name := d.Annotations[containerdName]
	if name == "" {
		name = d.Annotations[ocispec.AnnotationRefName]
		if !strings.ContainsAny(name, "/:") {
			return nil, nil
		}
	}
	tagged, err := parseTag(name)
	if err != nil {
		return nil, err
	}
	return []string{tagged.String()}, nil
}

// LoadDir reads the images of an OCI layout directory.
func (s *Store) LoadDir(ctx context.Context, dir string, o LoadOptions) ([]Loaded, error) {
	root, err := under.OpenRoot(dir)
	if err != nil {
		return nil, fault.Op("load", dir, err)
	}
	defer root.Close()
	out, err := s.loadFrom(ctx, &dirFiles{root}, o)
	return out, fault.Op("load", dir, err)
}

// dirFiles reads a layout directory and never leaves it.
type dirFiles struct{ root *under.Root }

func (f *dirFiles) open(name string) (*os.File, error) {
	file, err := f.root.Open(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "%s is missing", name)
	}
	if err != nil {
		return nil, err
	}
	if st, err := file.Stat(); err != nil || !st.Mode().IsRegular() {
		file.Close()
		return nil, fault.New(fault.Invalid, "%s is not a regular file", name)
	}
	return file, nil
}

func (f *dirFiles) Open(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if err := blob.Check(d.Digest); err != nil {
		return nil, err
	}
	return f.open(path.Join("blobs", d.Digest.Algorithm().String(), d.Digest.Encoded()))
}

func (f *dirFiles) text(name string, limit int64) ([]byte, error) {
	file, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fault.New(fault.TooLarge, "%s is larger than %d bytes", name, limit)
	}
	return text, err
}

func (f *dirFiles) lookup(name string) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, fault.New(fault.Unsupported, "%s: a docker archive is read as a tar, not as a directory", name)
}
