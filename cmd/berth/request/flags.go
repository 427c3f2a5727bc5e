package request

import (
	"github.com/spf13/pflag"

	"github.com/berth-engine/berth/container"
)

// Flags holds the raw values of all flags that run and create share.
type Flags struct {
	name, user, workdir, hostname, domainname string
	entrypoint                                optString
	env, envFile, label, labelFile            List
	annotation                                List
	groupAdd                                  List

	interactive, tty, rm, init, readOnly bool
	cidFile, pidFile, rootfs, pull       string
	platform                             string

	volume, mount, tmpfs List
	shmSize              int64

	privileged                   bool
	capAdd, capDrop, securityOpt List
	device, deviceRule           List
	sysctl, ulimit               List
	oomScoreAdj                  int
	oomKillDisable               bool

	resources                      container.Resources
	kernelMemory, memorySwappiness int64

	network                      List
	pid, ipc, uts, cgroupns      string
	userns, cgroupParent         string
	addHost, dns, dnsOpt, dnsSch List

	stopSignal  string
	stopTimeout optInt
	restart     string
	logDriver   string
	logOpt      List
	runtime     string
	isolation   string
	noHealth    bool
	trust       bool

	refused refusals
}

// Interactive is -i.
func (f *Flags) Interactive() bool { return f.interactive }

// Register adds the flags to fs, with docker's names, short forms and help.
func (f *Flags) Register(fs *pflag.FlagSet) {
	fs.SortFlags = true
	f.registerIdentity(fs)
	f.registerFiles(fs)
	f.registerSecurity(fs)
	f.registerLimits(fs)
	f.registerNamespaces(fs)
	f.registerLife(fs)
	f.refused.register(fs)
}

func (f *Flags) registerIdentity(fs *pflag.FlagSet) {
	fs.StringVar(&f.name, "name", "", "Assign a name to the container")
	fs.StringVarP(&f.user, "user", "u", "", "Username or UID (format: <name|uid>[:<group|gid>])")
	fs.Var(&f.groupAdd, "group-add", "Add additional groups to join")
	fs.StringVarP(&f.workdir, "workdir", "w", "", "Working directory inside the container")
	fs.StringVarP(&f.hostname, "hostname", "h", "", "Container host name")
	fs.StringVar(&f.domainname, "domainname", "", "Container NIS domain name")
	fs.Var(&f.entrypoint, "entrypoint", "Overwrite the default ENTRYPOINT of the image")
	fs.VarP(&f.env, "env", "e", "Set environment variables")
	fs.Var(&f.envFile, "env-file", "Read in a file of environment variables")
	fs.VarP(&f.label, "label", "l", "Set meta data on a container")
	fs.Var(&f.labelFile, "label-file", "Read in a line delimited file of labels")
	fs.Var(&f.annotation, "annotation", "Add an annotation to the container (passed through to the OCI runtime)")
	fs.BoolVarP(&f.interactive, "interactive", "i", false, "Keep STDIN open even if not attached")
	fs.BoolVarP(&f.tty, "tty", "t", false, "Allocate a pseudo-TTY")
}

func (f *Flags) registerFiles(fs *pflag.FlagSet) {
	fs.StringVar(&f.rootfs, "rootfs", "", "Use a directory as the root file system, in place of an image")
	fs.StringVar(&f.pull, "pull", "missing", `Pull image before running ("always", "missing", "never")`)
	fs.StringVar(&f.platform, "platform", "", "Set platform if the image has several")
	fs.BoolVar(&f.readOnly, "read-only", false, "Mount the container's root filesystem as read only")
	fs.VarP(&f.volume, "volume", "v", "Bind mount a host directory or file")
	fs.Var(&f.mount, "mount", "Attach a filesystem mount to the container (type=bind or tmpfs)")
	fs.Var(&f.tmpfs, "tmpfs", "Mount a tmpfs directory")
	fs.Var(size(&f.shmSize), "shm-size", "Size of /dev/shm")
	fs.StringVar(&f.cidFile, "cidfile", "", "Write the container ID to the file")
	fs.StringVar(&f.pidFile, "pidfile", "", "Write the PID of the container's first process to the file")
}

func (f *Flags) registerSecurity(fs *pflag.FlagSet) {
	fs.BoolVar(&f.privileged, "privileged", false, "Give extended privileges to this container")
	fs.Var(&f.capAdd, "cap-add", "Add Linux capabilities")
	fs.Var(&f.capDrop, "cap-drop", "Drop Linux capabilities")
	fs.Var(&f.securityOpt, "security-opt", "Security Options")
	fs.Var(&f.device, "device", "Add a host device to the container")
	fs.Var(&f.deviceRule, "device-cgroup-rule", "Add a rule to the cgroup allowed devices list")
	fs.Var(&f.sysctl, "sysctl", "Sysctl options")
}

func (f *Flags) registerLimits(fs *pflag.FlagSet) {
	r := &f.resources
	fs.VarP(size(&r.Memory), "memory", "m", "Memory limit")
	fs.Var(size(&r.MemoryReservation), "memory-reservation", "Memory soft limit")
	fs.Var(swap(&r.MemorySwap), "memory-swap", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap")
	fs.Int64Var(&f.memorySwappiness, "memory-swappiness", -1, "Tune container memory swappiness (0 to 100)")
	fs.Var(size(&f.kernelMemory), "kernel-memory", "Kernel memory limit (ignored, the kernel has it no more)")
	fs.Var(cpus(&r.NanoCPUs), "cpus", "Number of CPUs")
	fs.Int64VarP(&r.CPUShares, "cpu-shares", "c", 0, "CPU shares (relative weight)")
	fs.Int64Var(&r.CPUPeriod, "cpu-period", 0, "Limit CPU CFS (Completely Fair Scheduler) period")
	fs.Int64Var(&r.CPUQuota, "cpu-quota", 0, "Limit CPU CFS (Completely Fair Scheduler) quota")
	fs.StringVar(&r.CpusetCPUs, "cpuset-cpus", "", "CPUs in which to allow execution (0-3, 0,1)")
	fs.StringVar(&r.CpusetMems, "cpuset-mems", "", "MEMs in which to allow execution (0-3, 0,1)")
	fs.Int64Var(&r.PidsLimit, "pids-limit", 0, "Tune container pids limit (set -1 for unlimited)")
	fs.Uint16Var(&r.BlkioWeight, "blkio-weight", 0, "Block IO (relative weight), between 10 and 1000, or 0 to disable")
	fs.Var(&f.ulimit, "ulimit", "Ulimit options")
	fs.IntVar(&f.oomScoreAdj, "oom-score-adj", 0, "Tune host's OOM preferences (-1000 to 1000)")
	fs.BoolVar(&f.oomKillDisable, "oom-kill-disable", false, "Disable OOM Killer (ignored)")
}

func (f *Flags) registerNamespaces(fs *pflag.FlagSet) {
	fs.Var(&f.network, "network", "Connect a container to a network: none (default), host or container:NAME")
	fs.Var(&f.network, "net", "Connect a container to a network")
	_ = fs.MarkHidden("net")
	fs.StringVar(&f.pid, "pid", "", "PID namespace to use")
	fs.StringVar(&f.ipc, "ipc", "", "IPC mode to use")
	fs.StringVar(&f.uts, "uts", "", "UTS namespace to use")
	fs.StringVar(&f.cgroupns, "cgroupns", "", "Cgroup namespace to use (host|private)")
	fs.StringVar(&f.userns, "userns", "", "User namespace to use")
	fs.StringVar(&f.cgroupParent, "cgroup-parent", "", "Optional parent cgroup for the container")
	fs.Var(&f.addHost, "add-host", "Add a custom host-to-IP mapping (host:ip)")
	fs.Var(&f.dns, "dns", "Set custom DNS servers")
	fs.Var(&f.dnsOpt, "dns-option", "Set DNS options")
	fs.Var(&f.dnsOpt, "dns-opt", "Set DNS options")
	_ = fs.MarkHidden("dns-opt")
	fs.Var(&f.dnsSch, "dns-search", "Set custom DNS search domains")
}

func (f *Flags) registerLife(fs *pflag.FlagSet) {
	fs.BoolVar(&f.rm, "rm", false, "Automatically remove the container when it exits")
	fs.BoolVar(&f.init, "init", false, "Run an init inside the container that forwards signals and reaps processes")
	fs.StringVar(&f.stopSignal, "stop-signal", "", "Signal to stop the container")
	fs.Var(&f.stopTimeout, "stop-timeout", "Timeout (in seconds) to stop a container")
	fs.StringVar(&f.restart, "restart", "no", "Restart policy to apply when a container exits")
	fs.StringVar(&f.logDriver, "log-driver", "", "Logging driver for the container (json-file or none)")
	fs.Var(&f.logOpt, "log-opt", "Log driver options (max-size, max-file)")
	fs.StringVar(&f.runtime, "runtime", "", "Runtime to use for this container (only berth-oci)")
	fs.StringVar(&f.isolation, "isolation", "", "Container isolation technology (ignored)")
	fs.BoolVar(&f.noHealth, "no-healthcheck", false, "Disable any container-specified HEALTHCHECK")
	fs.BoolVar(&f.trust, "disable-content-trust", true, "Skip image verification (ignored)")
	_ = fs.MarkHidden("disable-content-trust")
}
