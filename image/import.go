package image

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/layer"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// ImportOptions describes the image that Import makes.
type ImportOptions struct {
	// Changes are Dockerfile lines: CMD ENTRYPOINT ENV EXPOSE LABEL ONBUILD
	// USER VOLUME WORKDIR.
	Changes []string
	// Message goes into the history; empty means docker's "Imported from -".
	Message string
	// Platform of the files; empty means this machine's.
	Platform string
	// Created is the image's time; zero means now.
	Created time.Time
}

// Import makes an image of one layer from the tar of a root file system,
// compressed or not. An empty ref leaves the image without a name.
func (s *Store) Import(ctx context.Context, r io.Reader, ref string, o ImportOptions) (Image, error) {
	var names []string
	if ref != "" {
		tagged, err := parseTag(ref)
		if err != nil {
			return Image{}, err
		}
		names = []string{tagged.String()}
	}
	config, err := o.config()
	if err != nil {
		return Image{}, err
	}
	drop, err := s.take(lease{All: true})
	if err != nil {
		return Image{}, err
	}
	img, err := s.importLayer(ctx, r, config, names)
	drop()
	if err != nil {
		_, _ = s.Sweep() // the blob has no owner; later collections find it too
		return Image{}, archiveError("import", r, err)
	}
	return img, nil
}

func (o *ImportOptions) config() (dockerImage, error) {
	var c dockerImage
	p, err := parsePlatform(o.Platform)
	if err != nil {
		return c, err
	}
	created := o.Created
	if created.IsZero() {
		created = time.Now()
	}
	created = created.UTC()
	c.Created, c.OS, c.Architecture, c.Variant = &created, p.OS, p.Architecture, p.Variant
	message := o.Message
	if message == "" {
		message = "Imported from -"
	}
	c.History = []ocispec.History{{Created: &created, Comment: message}}
	return c, applyChanges(&c.Config, o.Changes)
}

func (s *Store) importLayer(ctx context.Context, r io.Reader, config dockerImage, names []string) (Image, error) {
	d, diffID, err := s.importBlob(ctx, r)
	if err != nil {
		return Image{}, err
	}
	config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}}
	c, err := newCandidate(config, []ocispec.Descriptor{d})
	if err != nil {
		return Image{}, err
	}
	return s.install(ctx, s.blobs, c, names, serial(nil))
}

// importBlob stores the tar as it comes and learns what it unpacks to.
func (s *Store) importBlob(ctx context.Context, r io.Reader) (ocispec.Descriptor, digest.Digest, error) {
	w, err := s.blobs.Create(ocispec.Descriptor{Size: blob.Unknown})
	if err != nil {
		return ocispec.Descriptor{}, "", err
	}
	defer w.Close()
	plain, err := layer.Decompress(ctx, io.TeeReader(&cancelled{ctx, r}, w), s.codec)
	if err != nil {
		return ocispec.Descriptor{}, "", err
	}
	diffID, err := digest.FromReader(plain)
	plain.Close()
	if err != nil {
		return ocispec.Descriptor{}, "", err
	}
	d, err := w.Commit()
	if err != nil {
		return d, "", err
	}
	d.MediaType, err = layerType(ctx, s.blobs, d)
	if err == nil && d.MediaType == ocispec.MediaTypeImageLayer && d.Digest != diffID {
		err = fault.New(fault.Unsupported, "compression of the archive: give it plain, or compressed by gzip or zstd")
	}
	return d, diffID, err
}

// newCandidate makes the documents of an image of ours.
func newCandidate(config dockerImage, layers []ocispec.Descriptor) (*candidate, error) {
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	parsed, err := parseConfig(text, len(layers))
	if err != nil {
		return nil, err
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(text), Size: int64(len(text))}
	body, err := json.Marshal(ocispec.Manifest{
		Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: desc, Layers: layers,
	})
	if err != nil {
		return nil, err
	}
	m := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(body), Size: int64(len(body))}
	return &candidate{
		top: m.Digest, manifest: m, manifestBody: body, configDesc: desc, configBody: text,
		config: parsed, layers: layers, chain: chainOf(parsed.RootFS.DiffIDs),
	}, nil
}

// dockerImage is an image config with the one field of docker's that the
// changes can set and image-spec does not know.
type dockerImage struct {
	ocispec.Image
	Config dockerConfigPart `json:"config,omitempty"`
}

type dockerConfigPart struct {
	ocispec.ImageConfig
	OnBuild []string `json:"OnBuild,omitempty"`
}
