package shape

import (
	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/image/ocispec"
)

// ImageView is docker's answer to inspect of an image.
type ImageView struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Comment      string
	Created      string
	Author       string
	Config       ImageConfigView
	Architecture string
	Variant      string `json:",omitempty"`
	Os           string
	Size         int64
	GraphDriver  GraphView
	RootFS       RootFSView
	Metadata     struct{ LastTagTime string }
}

// ImageConfigView is .Config of an image.
type ImageConfigView struct {
	User         string
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Env          []string
	Cmd          []string
	Volumes      map[string]struct{}
	WorkingDir   string
	Entrypoint   []string
	Labels       map[string]string
	StopSignal   string `json:",omitempty"`
}

// RootFSView is .RootFS of an image.
type RootFSView struct {
	Type   string
	Layers []string `json:",omitempty"`
}

// Image shapes an image.
func Image(i image.Image) ImageView {
	v := ImageView{
		ID: i.ID.String(), RepoTags: []string{}, RepoDigests: []string{}, Created: stamp(i.Created), Author: i.Config.Author,
		Config: imageConfig(i.Config.Config), Architecture: i.Config.Architecture, Variant: i.Config.Variant, Os: i.Config.OS,
		Size: i.Size, GraphDriver: GraphView{Name: "overlay2", Data: map[string]string{}}, RootFS: RootFSView{Type: "layers"},
	}
	for _, r := range i.Refs {
		v.RepoTags = append(v.RepoTags, image.Familiar(r))
	}
	for _, r := range i.RepoDigests {
		v.RepoDigests = append(v.RepoDigests, image.Familiar(r))
	}
	for _, d := range i.Config.RootFS.DiffIDs {
		v.RootFS.Layers = append(v.RootFS.Layers, d.String())
	}
	return v
}

func imageConfig(c ocispec.ImageConfig) ImageConfigView {
	return ImageConfigView{
		User: c.User, ExposedPorts: c.ExposedPorts, Env: c.Env, Cmd: c.Cmd, Volumes: c.Volumes,
		WorkingDir: c.WorkingDir, Entrypoint: c.Entrypoint, Labels: c.Labels, StopSignal: c.StopSignal,
	}
}
