package bundle

import specs "github.com/opencontainers/runtime-spec/specs-go"

// The defaults of a container. Where they differ from docker's,
// docs/decisions/031-bundle-defaults.md says why.
const (
	defaultPath    = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	defaultShmSize = 64 << 20
	defaultPids    = 4096
	minMemory      = 6 << 20 // less does not even start a container
	cpuPeriod      = 100_000 // µs, for --cpus
	initTarget     = "/sbin/berth-init"
	anyoneMayPing  = "0 2147483647" // all groups
)

// defaultCaps are docker's fourteen, in the order of their numbers.
func defaultCaps() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
		"CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
		"CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP",
	}
}

// defaultMounts are the kernel's file systems, parents first.
func defaultMounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777"}},
	}
}

// defaultMasks hide what tells of the machine or reaches into it.
func defaultMasks() []string {
	return []string{
		"/proc/acpi",
		"/proc/asound",
		"/proc/interrupts", // timing of the machine's devices
		"/proc/kcore",
		"/proc/keys",
		"/proc/latency_stats",
		"/proc/sched_debug",
		"/proc/scsi",
		"/proc/timer_list",
		"/proc/timer_stats",
		"/sys/devices/virtual/powercap", // energy counters: a side channel
		"/sys/firmware",
	}
}

func defaultReadonly() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// defaultDeviceRules deny all, then allow nodes to be made (opening them is
// another matter) and the harmless ones to be used. They are complete: nothing
// is left for a runtime to add, /dev/net/tun in particular.
func defaultDeviceRules() []specs.LinuxDeviceCgroup {
	const any = -1
	rules := []specs.LinuxDeviceCgroup{
		{Allow: false, Type: "a", Access: "rwm"},
		rule("c", any, any, "m"),
		rule("b", any, any, "m"),
	}
	for _, n := range [][2]int64{
		{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, // null zero full random urandom
		{5, 0}, {5, 1}, {5, 2}, {136, any}, // tty console ptmx pts/*
	} {
		rules = append(rules, rule("c", n[0], n[1], "rwm"))
	}
	return rules
}

func rule(kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
	return specs.LinuxDeviceCgroup{Allow: true, Type: kind, Major: &major, Minor: &minor, Access: access}
}

// coreNodes are made in every /dev by the runtime (runtime-spec, config-linux,
// "Default Devices"). Nobody else may put anything there.
func coreNodes() []string {
	return []string{
		"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
		"/dev/console", "/dev/ptmx", "/dev/pts", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr",
	}
}

// procFiles are the files of /proc that may be mounted over: lxcfs and the like
// put a container's own view there.
func procFiles() []string {
	return []string{
		"/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo", "/proc/net/dev",
		"/proc/slabinfo", "/proc/stat", "/proc/swaps", "/proc/uptime",
	}
}
