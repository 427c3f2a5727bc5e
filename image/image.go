package image

import (
	"time"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/snapshot"
)

// Image is a value: what the store knows of one image.
type Image struct {
	ID          digest.Digest        // of the config; the host image's is that of its made-up config
	Manifest    ocispec.Descriptor   // as it is in the blob store; empty for the host image
	Refs        []string             // full names with tag, sorted
	RepoDigests []string             // full names with the digest they were pulled by, sorted
	Config      ocispec.Image        // without History, which is in the blob ID
	Layers      []ocispec.Descriptor // compressed, as in the manifest, lowest first
	Top         snapshot.Name        // the tree to run on; empty when there are no layers
	Size        int64                // bytes of all trees
	Created     time.Time            // as the config says, zero when it does not
}

// Policy says when Ensure goes to a registry.
type Policy string

// The policies, in the words of --pull.
const (
	Missing Policy = "missing" // only when the image is not here; the zero value means the same
	Always  Policy = "always"
	Never   Policy = "never"
)

// Event is one piece of news of a pull or load, in docker's words:
//
//	Layer ": " Text          e0a1…: Pulling fs layer
//	Text                     Digest: sha256:…
//
// Total is set while bytes are counted; such events are for terminals only.
type Event struct {
	Layer          string
	Text           string
	Current, Total int64
}

// PullOptions tunes Pull and Ensure. The zero value pulls for this machine.
type PullOptions struct {
	// Platform is "os/arch" or "os/arch/variant"; empty means this machine's.
	Platform string
	// Policy is for Ensure; Pull ignores it.
	Policy Policy
	// Progress is told what happens, one call at a time.
	Progress func(Event)
}

// PullResult is what Pull did.
type PullResult struct {
	Image    Image
	Ref      string        // the full name, the last line that docker pull prints
	Digest   digest.Digest // of what the name stands for: manifest or index
	UpToDate bool          // nothing had to be fetched
}
