package image

import (
	"context"
	"encoding/json"
	"io"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// dockerEntry is one image in the manifest.json of docker save.
type dockerEntry struct {
	Config       string                               `json:"Config"`
	RepoTags     []string                             `json:"RepoTags"`
	Layers       []string                             `json:"Layers"`
	LayerSources map[digest.Digest]ocispec.Descriptor `json:"LayerSources,omitempty"`
}

// maxImages bounds one archive.
const maxImages = 10_000

func parseDockerTable(text []byte) ([]dockerEntry, error) {
	var list []dockerEntry
	if err := decode("manifest.json", text, &list); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fault.New(fault.Invalid, "manifest.json lists no images")
	}
	if len(list) > maxImages {
		return nil, fault.New(fault.TooLarge, "manifest.json lists %d images, at most %d are read", len(list), maxImages)
	}
	for _, e := range list {
		if len(e.Layers) > maxLayers {
			return nil, fault.New(fault.TooLarge, "image has %d layers, at most %d can be stacked", len(e.Layers), maxLayers)
		}
	}
	return list, nil
}

func (e *dockerEntry) names() ([]string, error) {
	var out []string
	for _, t := range e.RepoTags {
		n, err := parseTag(t)
		if err != nil {
			return nil, err
		}
		out = append(out, n.String())
	}
	return out, nil
}

// dockerTags returns the names that manifest.json gives to image IDs.
func dockerTags(f files, text []byte) (map[digest.Digest][]string, error) {
	list, err := parseDockerTable(text)
	if err != nil {
		return nil, err
	}
	out := map[digest.Digest][]string{}
	for _, e := range list {
		names, err := e.names()
		if err != nil {
			return nil, err
		}
		config, err := f.lookup(e.Config)
		if err != nil {
			continue // the OCI index leads; here it is only about names
		}
		out[config.Digest] = union(out[config.Digest], names)
	}
	return out, nil
}

// dockerOffers makes OCI manifests for the images of an archive that has none.
// The same archive gives the same manifests.
func dockerOffers(ctx context.Context, f files, text []byte) ([]offered, error) {
	list, err := parseDockerTable(text)
	if err != nil {
		return nil, err
	}
	var out []offered
	for _, e := range list {
		of, err := e.offer(ctx, f)
		if err != nil {
			return nil, err
		}
		out = append(out, of)
	}
	return out, nil
}

func (e *dockerEntry) offer(ctx context.Context, f files) (offered, error) {
	names, err := e.names()
	if err != nil {
		return offered{}, err
	}
	config, err := f.lookup(e.Config)
	if err != nil {
		return offered{}, fault.Op("config", "", err)
	}
	config.MediaType = ocispec.MediaTypeImageConfig
	m := ocispec.Manifest{
		Versioned: ocispec.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config,
		Layers:    []ocispec.Descriptor{},
	}
	for _, name := range e.Layers {
		d, err := f.lookup(name)
		if err != nil {
			return offered{}, fault.Op("layer", "", err)
		}
		if d.MediaType, err = layerType(ctx, f, d); err != nil {
			return offered{}, err
		}
		m.Layers = append(m.Layers, d)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return offered{}, err
	}
	top := ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	return offered{top: top, body: body, names: names}, nil
}

// layerType tells the media type of a layer by its first bytes.
func layerType(ctx context.Context, src blob.Source, d ocispec.Descriptor) (string, error) {
	rc, err := src.Open(ctx, d)
	if err != nil {
		return "", err
	}
	defer rc.Close()
	var head [4]byte
	n, err := io.ReadFull(rc, head[:])
	if err != nil && n == 0 {
		return ocispec.MediaTypeImageLayer, nil // an empty file is an empty tar
	}
	switch {
	case n >= 2 && head[0] == 0x1f && head[1] == 0x8b:
		return ocispec.MediaTypeImageLayerGzip, nil
	case head == [4]byte{0x28, 0xb5, 0x2f, 0xfd}:
		return ocispec.MediaTypeImageLayerZstd, nil
	}
	return ocispec.MediaTypeImageLayer, nil
}
