package container

import (
	"math"
	"time"
)

// Request is everything a user can ask of a container, after the command line
// or an API body was parsed and checked, and before the image was looked at.
// It is stored in the record as it came. The zero value of a field means "not
// asked for"; the bundle package decides the defaults.
type Request struct {
	Name       string   `json:",omitempty"`
	Image      string   `json:",omitempty"` // as the user wrote it; empty with Rootfs
	Rootfs     string   `json:",omitempty"` // --rootfs: a directory used in place, no copy-on-write
	Args       []string `json:",omitempty"` // words after the image; replace the image's CMD
	Entrypoint []string // nil: the image's; empty and not nil: none, so null and [] differ on disk
	Env        []string `json:",omitempty"` // K=V, already merged from --env-file and -e, later wins
	User       string   `json:",omitempty"` // name|uid[:group|gid]
	GroupAdd   []string `json:",omitempty"`
	WorkDir    string   `json:",omitempty"` // absolute

	Hostname   string `json:",omitempty"`
	Domainname string `json:",omitempty"`

	TTY       bool `json:",omitempty"` // -t
	OpenStdin bool `json:",omitempty"` // -i
	Remove    bool `json:",omitempty"` // --rm
	Init      bool `json:",omitempty"` // --init

	ReadOnly bool    `json:",omitempty"`
	Mounts   []Mount `json:",omitempty"` // -v, --mount and --tmpfs, in the order given
	ShmSize  int64   `json:",omitempty"` // bytes; 0: 64 MiB

	Privileged  bool              `json:",omitempty"`
	CapAdd      []string          `json:",omitempty"` // canonical: CAP_X or ALL
	CapDrop     []string          `json:",omitempty"`
	Security    Security          `json:",omitzero"`
	Devices     []Device          `json:",omitempty"`
	DeviceRules []string          `json:",omitempty"` // --device-cgroup-rule: "c 1:3 rwm"
	Sysctls     map[string]string `json:",omitempty"`
	OOMScoreAdj int               `json:",omitempty"`
	Ulimits     []Ulimit          `json:",omitempty"`
	Resources   Resources         `json:",omitzero"`

	// Namespaces: "" (the default), "private", "host", "none" (ipc, network),
	// "shareable" (ipc), or "container:NAME".
	Network string `json:",omitempty"`
	PID     string `json:",omitempty"`
	IPC     string `json:",omitempty"`
	UTS     string `json:",omitempty"`
	Cgroup  string `json:",omitempty"` // --cgroupns
	Userns  string `json:",omitempty"` // only "host" so far

	ExtraHosts []string `json:",omitempty"` // --add-host, as NAME:IP
	DNS        []string `json:",omitempty"` // servers; empty: the host's
	DNSSearch  []string `json:",omitempty"`
	DNSOptions []string `json:",omitempty"`

	CgroupParent string            `json:",omitempty"`
	StopSignal   string            `json:",omitempty"` // canonical: SIGTERM
	StopTimeout  *int              `json:",omitempty"` // seconds; -1 waits for ever
	Labels       map[string]string `json:",omitempty"`
	Annotations  map[string]string `json:",omitempty"`
	Log          LogOptions        `json:",omitzero"`
	Restart      RestartPolicy     `json:",omitzero"`
	Pull         string            `json:",omitempty"` // missing (default), always, never
	Platform     string            `json:",omitempty"` // os/arch[/variant]; empty: this machine's
	CIDFile      string            `json:",omitempty"` // written by the engine, removed by nobody
	PIDFile      string            `json:",omitempty"`
}

// Mount is one -v, --mount or --tmpfs of a request.
type Mount struct {
	Type        string   // bind, tmpfs or volume (volume: not in this build, refused by name)
	Source      string   `json:",omitempty"` // absolute host path of a bind; volume name
	Target      string   // absolute path in the container
	ReadOnly    bool     `json:",omitempty"`
	Propagation string   `json:",omitempty"` // rprivate (default), private, rshared, shared, rslave, slave
	Recursive   string   `json:",omitempty"` // bind-recursive: enabled (default), disabled, writable, readonly
	MakeSource  bool     `json:",omitempty"` // -v: create a missing host directory; --mount: error
	Size        int64    `json:",omitempty"` // tmpfs, bytes; 0: the kernel's default
	Mode        uint32   `json:",omitempty"` // tmpfs
	Options     []string `json:",omitempty"` // further words of --tmpfs, checked
	Relabel     string   `json:",omitempty"` // SELinux: z (shared) or Z (private)
	NoCopy      bool     `json:",omitempty"` // volume: do not fill a new one from the image
}

// Security is --security-opt, each option typed.
type Security struct {
	Seccomp           string   `json:",omitempty"` // "" default profile, "unconfined", else a profile's JSON text
	NoNewPrivileges   bool     `json:",omitempty"`
	AppArmor          string   `json:",omitempty"`
	Label             []string `json:",omitempty"` // SELinux: user:, role:, type:, level:, disable
	SystemPathsHidden *bool    `json:",omitempty"` // systempaths=unconfined sets false
	WritableCgroups   bool     `json:",omitempty"`
}

// Device is one --device.
type Device struct {
	Host      string // path on the host
	Container string // path in the container
	Perms     string // some of "rwm"
}

// Ulimit is one --ulimit; -1 is unlimited.
type Ulimit struct {
	Name string // nofile, nproc, … without RLIMIT_
	Soft int64
	Hard int64
}

// Resources are the limits of a container. 0 means not set.
type Resources struct {
	Memory            int64  `json:",omitempty"` // bytes
	MemorySwap        int64  `json:",omitempty"` // bytes, memory plus swap; -1 unlimited
	MemoryReservation int64  `json:",omitempty"`
	NanoCPUs          int64  `json:",omitempty"` // --cpus × 10⁹
	CPUShares         int64  `json:",omitempty"`
	CPUPeriod         int64  `json:",omitempty"` // µs
	CPUQuota          int64  `json:",omitempty"` // µs
	CpusetCPUs        string `json:",omitempty"`
	CpusetMems        string `json:",omitempty"`
	PidsLimit         int64  `json:",omitempty"` // -1 unlimited; 0: the default of the bundle package
	BlkioWeight       uint16 `json:",omitempty"`
}

// SwapTotal is memory and swap together: what was asked, else twice the memory.
func (r Resources) SwapTotal() int64 {
	if r.MemorySwap != 0 || r.Memory == 0 {
		return r.MemorySwap
	}
	if r.Memory > math.MaxInt64/2 {
		return -1
	}
	return 2 * r.Memory
}

// LogOptions is --log-driver and --log-opt.
type LogOptions struct {
	Driver  string `json:",omitempty"` // json-file (default) or none
	MaxSize int64  `json:",omitempty"` // bytes per file; 0: 10 MiB
	MaxFile int    `json:",omitempty"` // files kept; 0: 5
}

// RestartPolicy is --restart.
type RestartPolicy struct {
	Name       string `json:",omitempty"` // "" or no, always, unless-stopped, on-failure
	MaxRetries int    `json:",omitempty"` // on-failure only; 0: no limit
}

// State of a container, in docker's words.
type State string

// The states. Created has a record and no process yet.
const (
	Created    State = "created"
	Running    State = "running"
	Paused     State = "paused"
	Restarting State = "restarting"
	Removing   State = "removing"
	Exited     State = "exited"
	Dead       State = "dead"
)

// Status is what changes in a container's life. While a monitor lives it is
// the only writer of the file; a missing file means Created.
type Status struct {
	State        State
	Pid          int         `json:",omitempty"` // of the payload, host's view
	StartTicks   uint64      `json:",omitempty"` // /proc/PID/stat field 22: guards against pid reuse
	BootID       string      `json:",omitempty"` // /proc/sys/kernel/random/boot_id when it was written
	MonitorPid   int         `json:",omitempty"`
	MonitorTicks uint64      `json:",omitempty"`
	Exit         *ExitStatus `json:",omitempty"` // of the last run
	Error        string      `json:",omitempty"` // why the last start did not succeed
	StartedAt    time.Time   `json:",omitzero"`
	FinishedAt   time.Time   `json:",omitzero"`
	RestartCount int         `json:",omitempty"`
	Stopped      bool        `json:",omitempty"` // by hand: no restart until asked
	Note         string      `json:",omitempty"` // what a user should know, e.g. that the monitor was killed
}

// ExitStatus is how a payload ended.
type ExitStatus struct {
	Code      int    // as the shell sees it: 0-255, 128+signal
	Signal    int    `json:",omitempty"`
	OOMKilled bool   `json:",omitempty"`
	Unknown   bool   `json:",omitempty"` // nobody saw it end; Code is 255
	Cause     string `json:",omitempty"` // one line for people
}

// Container is the record of a container: written once when it is created
// (rename and update write it anew, whole).
type Container struct {
	ID       string // 64 hex digits
	Name     string
	Created  time.Time
	Image    string `json:",omitempty"` // config digest of the image, sha256:…
	ImageRef string `json:",omitempty"` // as asked for
	Snapshot string `json:",omitempty"` // key of the writable tree; empty with --rootfs
	Path     string // the program as resolved from ENTRYPOINT and CMD, for ps and inspect
	Args     []string
	Request  Request
}
