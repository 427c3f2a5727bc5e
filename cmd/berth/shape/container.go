package shape

import (
	"path/filepath"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/engine"
	"github.com/berth-engine/berth/image"
)

// ContainerView is docker's answer to inspect of a container. Its fields are
// in docker's order.
type ContainerView struct {
	ID              string `json:"Id"`
	Created         string
	Path            string
	Args            []string
	State           StateView
	Image           string
	ResolvConfPath  string
	HostnamePath    string
	HostsPath       string
	LogPath         string
	Name            string
	RestartCount    int
	Driver          string
	Platform        string
	MountLabel      string
	ProcessLabel    string
	AppArmorProfile string
	ExecIDs         []string
	HostConfig      HostConfigView
	GraphDriver     GraphView
	SizeRw          *int64 `json:",omitempty"`
	SizeRootFs      *int64 `json:",omitempty"`
	Mounts          []MountView
	Config          ConfigView
	NetworkSettings NetworkView
}

// StateView is .State.
type StateView struct {
	Status     container.State
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  string
	FinishedAt string
	Note       string `json:",omitempty"` // ours: what a user should know
}

// GraphView is .GraphDriver.
type GraphView struct {
	Name string
	Data map[string]string
}

// NetworkView is .NetworkSettings of a container without networks of its own.
type NetworkView struct {
	SandboxID   string
	SandboxKey  string
	Ports       map[string][]struct{ HostIP, HostPort string }
	Networks    map[string]EndpointView
	IPAddress   string
	Gateway     string
	MacAddress  string
	IPPrefixLen int
}

// EndpointView is one of .NetworkSettings.Networks.
type EndpointView struct {
	NetworkID  string
	EndpointID string
	IPAddress  string
	Gateway    string
	MacAddress string
	Aliases    []string
}

// Container shapes what is known of a container; withSize adds SizeRw and
// SizeRootFs.
func Container(d engine.Details, withSize bool) ContainerView {
	c := d.Container
	v := ContainerView{
		ID: c.ID, Created: stamp(c.Created), Path: c.Path, Args: some(c.Args), State: state(d.Status),
		Image: c.Image, LogPath: d.LogPath, Name: "/" + c.Name, RestartCount: d.Status.RestartCount,
		ResolvConfPath: filepath.Join(d.Dir, "resolv.conf"), HostnamePath: filepath.Join(d.Dir, "hostname"), HostsPath: filepath.Join(d.Dir, "hosts"),
		Driver: "overlay2", Platform: "linux",
		HostConfig: hostConfig(d), GraphDriver: graph(d), Mounts: mounts(&c.Request), Config: config(d),
		NetworkSettings: network(c),
	}
	if d.Spec != nil {
		if d.Spec.Process != nil {
			v.AppArmorProfile, v.ProcessLabel = d.Spec.Process.ApparmorProfile, d.Spec.Process.SelinuxLabel
		}
		if d.Spec.Linux != nil {
			v.MountLabel = d.Spec.Linux.MountLabel
		}
	}
	if withSize {
		v.SizeRw, v.SizeRootFs = &d.Written, &d.Root
	}
	return v
}

func state(s container.Status) StateView {
	v := StateView{
		Status: s.State, Pid: s.Pid, Error: s.Error, Note: s.Note,
		StartedAt: stamp(s.StartedAt), FinishedAt: stamp(s.FinishedAt),
		Running: s.State == container.Running || s.State == container.Paused || s.State == container.Restarting,
		Paused:  s.State == container.Paused, Restarting: s.State == container.Restarting, Dead: s.State == container.Dead,
	}
	if s.Exit != nil {
		v.OOMKilled = s.Exit.OOMKilled
		if !v.Running || v.Restarting {
			v.ExitCode = s.Exit.Code
		}
	}
	return v
}

func graph(d engine.Details) GraphView {
	g := GraphView{Name: "overlay2", Data: map[string]string{}}
	if len(d.Rootfs) == 0 {
		return GraphView{Name: "directory", Data: map[string]string{"Directory": d.Container.Request.Rootfs}}
	}
	for _, o := range d.Rootfs[0].Options {
		for key, name := range map[string]string{"lowerdir=": "LowerDir", "upperdir=": "UpperDir", "workdir=": "WorkDir"} {
			if len(o) > len(key) && o[:len(key)] == key {
				g.Data[name] = o[len(key):]
			}
		}
	}
	return g
}

func network(c *container.Container) NetworkView {
	v := NetworkView{Ports: map[string][]struct{ HostIP, HostPort string }{}, Networks: map[string]EndpointView{}}
	if mode := engine.NetworkMode(&c.Request); mode == "none" || mode == "host" {
		v.Networks[mode] = EndpointView{}
	}
	return v
}

// MountView is one of .Mounts.
type MountView struct {
	Type        string
	Source      string
	Destination string
	Mode        string
	RW          bool
	Propagation string
}

func mounts(r *container.Request) []MountView {
	out := []MountView{}
	for _, m := range r.Mounts {
		v := MountView{Type: m.Type, Source: m.Source, Destination: m.Target, RW: !m.ReadOnly, Propagation: m.Propagation}
		if m.ReadOnly {
			v.Mode = "ro"
		}
		if m.Type == "bind" && v.Propagation == "" {
			v.Propagation = "rprivate"
		}
		out = append(out, v)
	}
	return out
}

// some is list, never null in JSON.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func labels(r *container.Request, img *image.Image) map[string]string {
	all := map[string]string{}
	if img != nil {
		for k, v := range img.Config.Config.Labels {
			all[k] = v
		}
	}
	for k, v := range r.Labels {
		all[k] = v
	}
	return all
}
