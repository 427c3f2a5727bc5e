package image

import (
	"context"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
)

// candidate is an image whose documents have been read and checked and whose
// layers have not.
type candidate struct {
	top          digest.Digest // what the name stood for: index or manifest
	manifest     ocispec.Descriptor
	manifestBody []byte
	configDesc   ocispec.Descriptor
	configBody   []byte
	config       ocispec.Image
	layers       []ocispec.Descriptor
	chain        []snapshot.Name // tree of each layer
}

// maxIndexes bounds indexes that point to indexes.
const maxIndexes = 4

// describe walks from top, an index or a manifest, to the image for want, and
// reads its config. body may be top's bytes when they are at hand.
func describe(ctx context.Context, src blob.Source, top ocispec.Descriptor, body []byte, want ocispec.Platform) (*candidate, error) {
	c := &candidate{top: top.Digest, manifest: top}
	for range maxIndexes {
		if err := checkType(c.manifest.MediaType); err != nil {
			return nil, err
		}
		if body == nil {
			var err error
			if body, err = blob.ReadAll(ctx, src, c.manifest, blob.MaxManifest); err != nil {
				return nil, err
			}
		}
		doc, err := parseDocument(c.manifest.MediaType, body)
		if err != nil {
			return nil, fault.Op("manifest", c.manifest.Digest.String(), err)
		}
		if doc.Config != nil {
			c.manifestBody, c.configDesc, c.layers = body, *doc.Config, doc.Layers
			return c, c.readConfig(ctx, src, want)
		}
		if c.manifest, err = pick(want, doc.Manifests); err != nil {
			return nil, err
		}
		c.manifest = plainDescriptor(c.manifest)
		body = nil
	}
	return nil, fault.New(fault.TooLarge, "index %s: indexes nested deeper than %d", top.Digest, maxIndexes)
}

// plainDescriptor drops what only its index needs.
func plainDescriptor(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

func (c *candidate) readConfig(ctx context.Context, src blob.Source, want ocispec.Platform) error {
	body, err := blob.ReadAll(ctx, src, c.configDesc, maxConfig)
	if err != nil {
		return err
	}
	c.configBody = body
	if c.config, err = parseConfig(body, len(c.layers)); err != nil {
		return fault.Op("config", c.configDesc.Digest.String(), err)
	}
	c.chain = chainOf(c.config.RootFS.DiffIDs)
	for i := range c.layers {
		c.layers[i] = plainDescriptor(c.layers[i])
	}
	have := c.config.Platform
	if have.OS == "" {
		have.OS = "linux"
	}
	if have.Architecture != "" && rank(want, have) == 0 {
		return wrongPlatform(platformString(have), want)
	}
	return nil
}

// chainOf names the trees of a list of layers: each name covers the layer and
// all below it; config.md, "Layer ChainID".
func chainOf(diffIDs []digest.Digest) []snapshot.Name {
	ids := append([]digest.Digest(nil), diffIDs...)
	for i := 1; i < len(ids); i++ {
		ids[i] = digest.FromString(string(ids[i-1]) + " " + string(ids[i]))
	}
	out := make([]snapshot.Name, len(ids))
	for i, id := range ids {
		out[i] = snapshot.Name(id.Encoded())
	}
	return out
}

// id is the image's ID.
func (c *candidate) id() digest.Digest { return c.configDesc.Digest }

// lease is what the store must not lose while this image is fetched.
func (c *candidate) lease() lease {
	l := lease{Blobs: []digest.Digest{c.manifest.Digest, c.configDesc.Digest}, Trees: c.chain}
	for _, d := range c.layers {
		l.Blobs = append(l.Blobs, d.Digest)
	}
	return l
}
