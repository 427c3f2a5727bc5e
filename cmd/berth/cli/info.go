package cli

import (
	"runtime"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
)

// infoView is the answer of info, in docker's words.
type infoView struct {
	ID                string
	Containers        int
	ContainersRunning int
	ContainersPaused  int
	ContainersStopped int
	Images            int
	Driver            string
	DriverStatus      [][2]string
	LoggingDriver     string
	CgroupDriver      string
	CgroupVersion     string
	MemoryLimit       bool
	PidsLimit         bool
	NCPU              int
	MemTotal          int64
	KernelVersion     string
	OperatingSystem   string
	OSType            string
	Architecture      string
	Name              string
	DockerRootDir     string
	StateDir          string
	DefaultRuntime    string
	Runtimes          map[string]runtimeView
	SecurityOptions   []string
	ServerVersion     string
	Warnings          []string
	ClientInfo        struct {
		Version, GoVersion, Os, Arch string
	}
	memText string
}

type runtimeView struct {
	Path string `json:"path"`
}

// Memory is the machine's memory in words.
func (v infoView) Memory() string { return v.memText }

func newInfo(a *app) *cobra.Command {
	var text string
	c := &cobra.Command{
		Use:   "info [OPTIONS]",
		Short: "Display system-wide information",
		Args:  exactly(0),
		RunE:  func(*cobra.Command, []string) error { return a.info(text) },
	}
	c.Flags().StringVarP(&text, "format", "f", "", "Format output: json, or a Go template")
	return c
}

const infoText = `Client: berth
 Version:    {{.ClientInfo.Version}}
 Debug Mode: false

Server:
 Containers: {{.Containers}}
  Running: {{.ContainersRunning}}
  Paused: {{.ContainersPaused}}
  Stopped: {{.ContainersStopped}}
 Images: {{.Images}}
 Server Version: {{.ServerVersion}}
 Storage Driver: {{.Driver}}
 Logging Driver: {{.LoggingDriver}}
 Cgroup Driver: {{.CgroupDriver}}
 Cgroup Version: {{.CgroupVersion}}
 Plugins:
  Network: none host
  Log: json-file none
 Runtimes: {{.DefaultRuntime}}
 Default Runtime: {{.DefaultRuntime}}
 Security Options:{{range .SecurityOptions}}
  {{.}}{{end}}
 Kernel Version: {{.KernelVersion}}
 Operating System: {{.OperatingSystem}}
 OSType: {{.OSType}}
 Architecture: {{.Architecture}}
 CPUs: {{.NCPU}}
 Total Memory: {{.Memory}}
 Name: {{.Name}}
 Root Dir: {{.DockerRootDir}}
 State Dir: {{.StateDir}}
`

func (a *app) info(text string) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	i, err := e.System.Info(a.ctx)
	if err != nil {
		return err
	}
	v := infoView{
		ID: i.Name, Containers: i.Containers, ContainersRunning: i.Running, ContainersPaused: i.Paused, ContainersStopped: i.Stopped,
		Images: i.Images, Driver: i.Driver, DriverStatus: [][2]string{}, LoggingDriver: "json-file",
		CgroupDriver: i.CgroupDriver, CgroupVersion: i.CgroupVersion, MemoryLimit: true, PidsLimit: true,
		NCPU: i.CPUs, MemTotal: i.Memory, KernelVersion: i.KernelVersion, OperatingSystem: i.OperatingSystem,
		OSType: i.OSType, Architecture: i.Architecture, Name: i.Name, DockerRootDir: i.Root, StateDir: i.State,
		DefaultRuntime: "berth-oci", Runtimes: map[string]runtimeView{"berth-oci": {i.Runtime}},
		SecurityOptions: i.SecurityOptions, ServerVersion: a.version, Warnings: i.Warnings,
		memText: units.BytesSize(float64(i.Memory)),
	}
	v.ClientInfo.Version, v.ClientInfo.GoVersion, v.ClientInfo.Os, v.ClientInfo.Arch = a.version, runtime.Version(), runtime.GOOS, runtime.GOARCH
	if err := a.template(text, infoText, v); err != nil {
		return err
	}
	if text == "" {
		for _, w := range i.Warnings {
			a.warn(w)
		}
	}
	return nil
}
