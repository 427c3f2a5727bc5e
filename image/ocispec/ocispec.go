// Package ocispec has the documents of the OCI image specification that berth
// reads and writes, and how they name each other.
//
//	index.json ─► Index ─► Manifest ─┬─► Image (the configuration)
//	                                 └─► layers: tar, gzip, zstd
//
// The types are those of github.com/opencontainers/image-spec, field by field,
// which a test compares; that module brings regular expressions along, see
// docs/decisions/081-digests.md. The specification says what the fields mean.
package ocispec

import (
	"time"

	"github.com/berth-engine/berth/image/digest"
)

// Media types; media-types.md.
const (
	MediaTypeImageIndex     = "application/vnd.oci.image.index.v1+json"
	MediaTypeImageManifest  = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeImageConfig    = "application/vnd.oci.image.config.v1+json"
	MediaTypeImageLayer     = "application/vnd.oci.image.layer.v1.tar"
	MediaTypeImageLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"
	MediaTypeImageLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd"
)

// Of an image layout; image-layout.md.
const (
	ImageLayoutFile    = "oci-layout"
	ImageLayoutVersion = "1.0.0"
)

// AnnotationRefName is where a layout's index has the name of an image;
// annotations.md.
const AnnotationRefName = "org.opencontainers.image.ref.name"

// Versioned begins an Index and a Manifest: 2, always.
type Versioned struct {
	SchemaVersion int `json:"schemaVersion"`
}

// Descriptor names a document or a layer; descriptor.md.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       digest.Digest     `json:"digest"`
	Size         int64             `json:"size"` // bytes
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Data         []byte            `json:"data,omitempty"` // the content itself, if it is short
	Platform     *Platform         `json:"platform,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

// Platform is what an image runs on, in Go's words; image-index.md.
type Platform struct {
	Architecture string   `json:"architecture"`
	OS           string   `json:"os"`
	OSVersion    string   `json:"os.version,omitempty"`
	OSFeatures   []string `json:"os.features,omitempty"`
	Variant      string   `json:"variant,omitempty"` // as v7 of arm
}

// Index lists manifests, one for each platform; image-index.md.
type Index struct {
	Versioned
	MediaType    string            `json:"mediaType,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Manifests    []Descriptor      `json:"manifests"`
	Subject      *Descriptor       `json:"subject,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// Manifest is one image: its configuration and its layers, the lowest first;
// manifest.md.
type Manifest struct {
	Versioned
	MediaType    string            `json:"mediaType,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Config       Descriptor        `json:"config"`
	Layers       []Descriptor      `json:"layers"`
	Subject      *Descriptor       `json:"subject,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// ImageLayout is the content of ImageLayoutFile.
type ImageLayout struct {
	Version string `json:"imageLayoutVersion"`
}

// Image is the configuration of an image, whose digest is its id; config.md.
type Image struct {
	Created *time.Time `json:"created,omitempty"`
	Author  string     `json:"author,omitempty"`
	Platform
	Config  ImageConfig `json:"config,omitempty"`
	RootFS  RootFS      `json:"rootfs"`
	History []History   `json:"history,omitempty"`
}

// ImageConfig is what containers of an image begin with.
type ImageConfig struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"` // PORT/PROTOCOL
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"` // absolute paths
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
	ArgsEscaped  bool                `json:"ArgsEscaped,omitempty"` // of Windows
}

// RootFS lists the layers by the digests of their plain tars, the lowest first.
type RootFS struct {
	Type    string          `json:"type"` // layers
	DiffIDs []digest.Digest `json:"diff_ids"`
}

// History says how a layer, or nothing but the configuration, came about.
type History struct {
	Created    *time.Time `json:"created,omitempty"`
	CreatedBy  string     `json:"created_by,omitempty"`
	Author     string     `json:"author,omitempty"`
	Comment    string     `json:"comment,omitempty"`
	EmptyLayer bool       `json:"empty_layer,omitempty"`
}
