package bundle

import specs "github.com/opencontainers/runtime-spec/specs-go"

// Host is what the engine looked up for one container. Zero fields mean that
// the machine lacks the thing or that the request does not need it.
type Host struct {
	ID          string // full id of the container
	Rootfs      string // path of the root, as the runtime shall see it
	CgroupsPath string
	User        User // LookupUser(UserSpec(…)) in the files of the root

	Hostname       string // the machine's: --uts host, --network host
	JoinedHostname string // of the container X of --network container:X

	// Namespaces has the path for each namespace that is joined because of
	// container:X.
	Namespaces map[specs.LinuxNamespaceType]string
	// ShmPath is a tmpfs that the engine mounted for --ipc shareable, or that
	// of the container X of --ipc container:X.
	ShmPath string

	// Files that the engine wrote to be mounted below /etc; empty: none.
	ResolvConf, Hosts, HostnameFile string
	// InitPath is a static binary that reaps and forwards signals, for --init.
	InitPath string
	// Console is the terminal's size at the start: height, width.
	Console [2]uint

	CPUs         int      // online processors, the most that --cpus may ask for; 0: unknown
	OnlineCPUs   string   // as in /sys/devices/system/cpu/online; empty: not checked
	OnlineMems   string   // likewise of NUMA nodes
	Capabilities []string // of the engine's bounding set, CAP_X; nil: all that are known
	NoSwapLimit  bool     // the kernel cannot limit swap
	// RecursiveReadOnly: the kernel has mount_setattr (5.12).
	RecursiveReadOnly bool
	// ThrottleCPUs is the number of processors that have a thermal_throttle
	// directory in sysfs, which is masked; 0 in virtual machines.
	ThrottleCPUs int

	// Seccomp is the compiled wish: the default profile, or the one that the
	// request carries. It is required unless the container is unconfined or
	// NoSeccomp says that this kernel has no seccomp.
	Seccomp   *specs.LinuxSeccomp
	NoSeccomp bool
	// AppArmor is the default profile's name; empty: no AppArmor here.
	AppArmor string
	// ProcessLabel and MountLabel are SELinux contexts made for this
	// container; empty: no SELinux here.
	ProcessLabel, MountLabel string

	// Devices has for every Host path of Request.Devices the nodes found
	// there: one, or all below it when it is a directory.
	Devices map[string][]specs.LinuxDevice
	// AllDevices is every node of the machine's /dev, for --privileged.
	AllDevices []specs.LinuxDevice
	// Rlimits are the defaults for what Request.Ulimits does not name.
	Rlimits []specs.POSIXRlimit
}
