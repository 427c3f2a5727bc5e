package image

import (
	"encoding/json"
	"strings"
	"unicode"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
)

// Bounds of foreign documents.
const (
	maxConfig = 8 << 20
	maxLayers = 127 // what overlay stacks
	maxDepth  = 64  // of JSON
)

// Media types of docker's that image-spec does not name.
const (
	dockerConfig    = "application/vnd.docker.container.image.v1+json"
	dockerLayer     = "application/vnd.docker.image.rootfs.diff.tar"
	dockerSchema1   = "application/vnd.docker.distribution.manifest.v1+json"
	dockerSchema1ws = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// document is a manifest or an index, by which of its lists is filled.
type document struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
}

// parseDocument checks that body is what its descriptor's media type says:
// an index of manifests, or a manifest with config and layers, never both.
func parseDocument(mediaType string, body []byte) (*document, error) {
	if err := checkType(mediaType); err != nil {
		return nil, err
	}
	var doc document
	if err := decode("manifest", body, &doc); err != nil {
		return nil, err
	}
	if doc.MediaType != "" && doc.MediaType != mediaType {
		return nil, fault.New(fault.Invalid, "manifest calls itself %s but was announced as %s", clean(doc.MediaType), mediaType)
	}
	if doc.SchemaVersion != 2 {
		return nil, fault.New(fault.Unsupported, "manifest has schema version %d, only 2 is supported", doc.SchemaVersion)
	}
	if mediaType == ocispec.MediaTypeImageIndex || mediaType == blob.DockerIndex {
		return &doc, checkIndex(&doc)
	}
	return &doc, checkManifest(&doc)
}

func checkType(mediaType string) error {
	switch mediaType {
	case dockerSchema1, dockerSchema1ws:
		return fault.New(fault.Unsupported, "manifest is of docker's old schema 1 (%s), which is not supported: push the image again with a current tool", mediaType)
	}
	if !blob.IsManifest(mediaType) {
		return fault.New(fault.Unsupported, "media type %q is not that of a container image", clean(mediaType))
	}
	return nil
}

func checkIndex(doc *document) error {
	if doc.Config != nil || doc.Layers != nil {
		return fault.New(fault.Invalid, "index has a config or layers like a manifest")
	}
	if len(doc.Manifests) == 0 {
		return fault.New(fault.Invalid, "index lists no manifests")
	}
	for _, d := range doc.Manifests {
		if err := checkDescriptor(d); err != nil {
			return err
		}
	}
	return nil
}

func checkManifest(doc *document) error {
	if doc.Manifests != nil {
		return fault.New(fault.Invalid, "manifest lists manifests like an index")
	}
	if doc.Config == nil {
		return fault.New(fault.Invalid, "manifest has no config")
	}
	if err := checkDescriptor(*doc.Config); err != nil {
		return err
	}
	switch doc.Config.MediaType {
	case ocispec.MediaTypeImageConfig, dockerConfig:
	default:
		return fault.New(fault.Unsupported, "config has media type %q: this is not a container image", clean(doc.Config.MediaType))
	}
	if len(doc.Layers) > maxLayers {
		return fault.New(fault.TooLarge, "image has %d layers, at most %d can be stacked", len(doc.Layers), maxLayers)
	}
	for _, d := range doc.Layers {
		if err := checkLayer(d); err != nil {
			return err
		}
	}
	return nil
}

func checkDescriptor(d ocispec.Descriptor) error {
	if d.Size < 0 {
		return fault.New(fault.Invalid, "descriptor of %s has the size %d", clip(d.Digest.String()), d.Size)
	}
	return blob.Check(d.Digest)
}

func checkLayer(d ocispec.Descriptor) error {
	if err := checkDescriptor(d); err != nil {
		return err
	}
	switch d.MediaType {
	case ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd,
		dockerLayer, dockerLayer + ".gzip", dockerLayer + ".zstd":
	default:
		if strings.Contains(d.MediaType, "foreign") || strings.Contains(d.MediaType, "nondistributable") {
			return fault.New(fault.Unsupported, "layer %s has media type %s: layers kept outside the registry are not fetched", d.Digest, clean(d.MediaType))
		}
		return fault.New(fault.Unsupported, "layer %s has the unknown media type %q", d.Digest, clean(d.MediaType))
	}
	return nil
}

// parseConfig reads an image config and checks that it describes layers layers.
func parseConfig(body []byte, layers int) (ocispec.Image, error) {
	var c ocispec.Image
	if err := decode("image config", body, &c); err != nil {
		return c, err
	}
	if c.RootFS.Type != "" && c.RootFS.Type != "layers" {
		return c, fault.New(fault.Unsupported, "image config has a root file system of type %q", clean(c.RootFS.Type))
	}
	if len(c.RootFS.DiffIDs) != layers {
		return c, fault.New(fault.Invalid, "image config lists %d layers, the manifest %d", len(c.RootFS.DiffIDs), layers)
	}
	for _, d := range c.RootFS.DiffIDs {
		if err := blob.Check(d); err != nil {
			return c, err
		}
	}
	return c, nil
}

// decode is json.Unmarshal for foreign bytes: bounded in depth, and no more
// text after the value.
func decode(what string, body []byte, v any) error {
	if jsontext.Depth(body) > maxDepth {
		return fault.New(fault.TooLarge, "%s is nested deeper than %d", what, maxDepth)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fault.New(fault.Invalid, "%s is not valid JSON: %w", what, err)
	}
	return nil
}

// clean makes foreign text fit for a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, clip(s))
}
