package shape

import (
	"strconv"
	"strings"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/engine"
)

// ConfigView is .Config.
type ConfigView struct {
	Hostname     string
	Domainname   string
	User         string
	AttachStdin  bool
	AttachStdout bool
	AttachStderr bool
	Tty          bool
	OpenStdin    bool
	StdinOnce    bool
	Env          []string
	Cmd          []string
	Image        string
	Volumes      map[string]struct{}
	WorkingDir   string
	Entrypoint   []string
	Labels       map[string]string
	StopSignal   string `json:",omitempty"`
	StopTimeout  *int   `json:",omitempty"`
}

// environment is what the user and the image set, in docker's order, without
// what the container gets besides (HOSTNAME, HOME, TERM).
func environment(d engine.Details) []string {
	env := []string{}
	set := map[string]bool{}
	for _, kv := range d.Container.Request.Env {
		key, _, ok := strings.Cut(kv, "=")
		if set[key] = true; ok {
			env = append(env, kv)
		}
	}
	if d.Image == nil {
		return env
	}
	for _, kv := range d.Image.Config.Config.Env {
		if key, _, _ := strings.Cut(kv, "="); !set[key] {
			env = append(env, kv)
		}
	}
	return env
}

func config(d engine.Details) ConfigView {
	c, r := d.Container, &d.Container.Request
	v := ConfigView{
		Hostname: r.Hostname, Domainname: r.Domainname, User: r.User, AttachStdin: r.OpenStdin, AttachStdout: true, AttachStderr: true,
		Tty: r.TTY, OpenStdin: r.OpenStdin, StdinOnce: r.OpenStdin, Env: r.Env, Cmd: r.Args, Image: c.ImageRef,
		WorkingDir: r.WorkDir, Entrypoint: r.Entrypoint, Labels: labels(r, d.Image), StopSignal: r.StopSignal, StopTimeout: r.StopTimeout,
	}
	if v.Hostname == "" && r.UTS != "host" && r.Network != "host" {
		v.Hostname = c.ID[:container.ShortLen]
	}
	if img := d.Image; img != nil {
		own := img.Config.Config
		if v.Entrypoint == nil {
			v.Entrypoint = own.Entrypoint
			if len(v.Cmd) == 0 {
				v.Cmd = own.Cmd
			}
		}
		if v.User == "" {
			v.User = own.User
		}
		if v.WorkingDir == "" {
			v.WorkingDir = own.WorkingDir
		}
		if v.StopSignal == "" {
			v.StopSignal = own.StopSignal
		}
		v.Volumes = own.Volumes
	}
	v.Env = environment(d)
	if len(v.Entrypoint) == 0 {
		v.Entrypoint = nil
	}
	return v
}

// HostConfigView is .HostConfig.
type HostConfigView struct {
	Binds             []string
	ContainerIDFile   string
	LogConfig         LogConfigView
	NetworkMode       string
	PortBindings      map[string][]struct{ HostIP, HostPort string }
	RestartPolicy     RestartView
	AutoRemove        bool
	VolumeDriver      string
	VolumesFrom       []string
	CapAdd            []string
	CapDrop           []string
	CgroupnsMode      string
	DNS               []string `json:"Dns"`
	DNSOptions        []string `json:"DnsOptions"`
	DNSSearch         []string `json:"DnsSearch"`
	ExtraHosts        []string
	GroupAdd          []string
	IpcMode           string
	Cgroup            string
	Links             []string
	OomScoreAdj       int
	PidMode           string
	Privileged        bool
	PublishAllPorts   bool
	ReadonlyRootfs    bool
	SecurityOpt       []string
	Tmpfs             map[string]string `json:",omitempty"`
	UTSMode           string
	UsernsMode        string
	ShmSize           int64
	Sysctls           map[string]string `json:",omitempty"`
	Annotations       map[string]string `json:",omitempty"`
	Runtime           string
	CpuShares         int64
	Memory            int64
	NanoCpus          int64
	CgroupParent      string
	BlkioWeight       uint16
	CpuPeriod         int64
	CpuQuota          int64
	CpusetCpus        string
	CpusetMems        string
	Devices           []DeviceView
	DeviceCgroupRules []string
	MemoryReservation int64
	MemorySwap        int64
	OomKillDisable    bool
	PidsLimit         *int64
	Ulimits           []UlimitView
	Init              *bool `json:",omitempty"`
	MaskedPaths       []string
	ReadonlyPaths     []string
}

// LogConfigView is .HostConfig.LogConfig.
type LogConfigView struct {
	Type   string
	Config map[string]string
}

// RestartView is .HostConfig.RestartPolicy.
type RestartView struct {
	Name              string
	MaximumRetryCount int
}

// DeviceView is one of .HostConfig.Devices.
type DeviceView struct {
	PathOnHost        string
	PathInContainer   string
	CgroupPermissions string
}

// UlimitView is one of .HostConfig.Ulimits.
type UlimitView struct {
	Name string
	Hard int64
	Soft int64
}

func hostConfig(d engine.Details) HostConfigView {
	r := &d.Container.Request
	res := r.Resources
	v := HostConfigView{
		ContainerIDFile: r.CIDFile, LogConfig: logConfig(r.Log), NetworkMode: engine.NetworkMode(r),
		PortBindings:  map[string][]struct{ HostIP, HostPort string }{},
		RestartPolicy: RestartView{or(r.Restart.Name, "no"), r.Restart.MaxRetries}, AutoRemove: r.Remove,
		CapAdd: r.CapAdd, CapDrop: r.CapDrop, CgroupnsMode: or(r.Cgroup, "private"),
		DNS: some(r.DNS), DNSOptions: some(r.DNSOptions), DNSSearch: some(r.DNSSearch), ExtraHosts: r.ExtraHosts, GroupAdd: r.GroupAdd,
		IpcMode: or(r.IPC, "private"), OomScoreAdj: r.OOMScoreAdj, PidMode: r.PID, Privileged: r.Privileged, ReadonlyRootfs: r.ReadOnly,
		SecurityOpt: securityOpt(r.Security), UTSMode: r.UTS, UsernsMode: r.Userns, ShmSize: r.ShmSize, Sysctls: r.Sysctls,
		Annotations: r.Annotations, Runtime: "berth-oci", CpuShares: res.CPUShares, Memory: res.Memory, NanoCpus: res.NanoCPUs,
		CgroupParent: r.CgroupParent, BlkioWeight: res.BlkioWeight, CpuPeriod: res.CPUPeriod, CpuQuota: res.CPUQuota,
		CpusetCpus: res.CpusetCPUs, CpusetMems: res.CpusetMems, Devices: []DeviceView{}, DeviceCgroupRules: r.DeviceRules,
		MemoryReservation: res.MemoryReservation, MemorySwap: res.SwapTotal(), Ulimits: []UlimitView{},
	}
	if v.ShmSize == 0 {
		v.ShmSize = 64 << 20
	}
	if res.PidsLimit != 0 {
		v.PidsLimit = &res.PidsLimit
	}
	if r.Init {
		v.Init = &r.Init
	}
	for _, dev := range r.Devices {
		v.Devices = append(v.Devices, DeviceView{dev.Host, dev.Container, dev.Perms})
	}
	for _, u := range r.Ulimits {
		v.Ulimits = append(v.Ulimits, UlimitView{u.Name, u.Hard, u.Soft})
	}
	v.mounts(r)
	if d.Spec != nil && d.Spec.Linux != nil {
		v.MaskedPaths, v.ReadonlyPaths = d.Spec.Linux.MaskedPaths, d.Spec.Linux.ReadonlyPaths
	}
	return v
}

// mounts fills Binds and Tmpfs, the older words for what .Mounts says.
func (v *HostConfigView) mounts(r *container.Request) {
	for _, m := range r.Mounts {
		switch m.Type {
		case "bind":
			bind := m.Source + ":" + m.Target
			if m.ReadOnly {
				bind += ":ro"
			}
			v.Binds = append(v.Binds, bind)
		case "tmpfs":
			if v.Tmpfs == nil {
				v.Tmpfs = map[string]string{}
			}
			v.Tmpfs[m.Target] = tmpfsText(m)
		}
	}
}

func tmpfsText(m container.Mount) string {
	words := append([]string(nil), m.Options...)
	if m.ReadOnly {
		words = append(words, "ro")
	}
	if m.Size != 0 {
		words = append(words, "size="+strconv.FormatInt(m.Size, 10))
	}
	if m.Mode != 0 {
		words = append(words, "mode="+strconv.FormatUint(uint64(m.Mode), 8))
	}
	text := ""
	for i, w := range words {
		if i > 0 {
			text += ","
		}
		text += w
	}
	return text
}

func logConfig(l container.LogOptions) LogConfigView {
	v := LogConfigView{Type: or(l.Driver, "json-file"), Config: map[string]string{}}
	if l.MaxSize != 0 {
		v.Config["max-size"] = strconv.FormatInt(l.MaxSize, 10)
	}
	if l.MaxFile != 0 {
		v.Config["max-file"] = strconv.Itoa(l.MaxFile)
	}
	return v
}

func securityOpt(s container.Security) []string {
	var out []string
	if s.NoNewPrivileges {
		out = append(out, "no-new-privileges")
	}
	if s.Seccomp != "" {
		out = append(out, "seccomp="+s.Seccomp)
	}
	if s.AppArmor != "" {
		out = append(out, "apparmor="+s.AppArmor)
	}
	for _, l := range s.Label {
		out = append(out, "label="+l)
	}
	if s.SystemPathsHidden != nil && !*s.SystemPathsHidden {
		out = append(out, "systempaths=unconfined")
	}
	return out
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
