package main

// reasons say why a program does not pass with berth-oci, nor with runc or crun
// on the same machine. A reason that is not needed is no harm: it is not printed.
var reasons = map[string]string{
	"linux_cgroups_blkio":            "it sets leaf weights, which kernels have not had since 5.0 (CFQ).",
	"linux_cgroups_relative_blkio":   "it sets leaf weights, which kernels have not had since 5.0 (CFQ).",
	"linux_cgroups_hugetlb":          "it knows cgroup v1 only, and on this machine hugetlb is a controller of the unified tree.",
	"linux_cgroups_relative_hugetlb": "it knows cgroup v1 only, and on this machine hugetlb is a controller of the unified tree.",
	"linux_cgroups_memory":           "it limits kernel memory, which kernels have not done since 5.16; and its TCP buffers, which runc and berth-oci leave alone.",
	"linux_cgroups_relative_memory":  "it limits kernel memory, which kernels have not done since 5.16; and its TCP buffers, which runc and berth-oci leave alone.",
	"linux_cgroups_network":          "it needs net_cls and net_prio, which are not mounted on this machine.",
	"linux_cgroups_relative_network": "it needs net_cls and net_prio, which are not mounted on this machine.",
	"linux_process_apparmor_profile": "it names a profile that has to be loaded first, and this kernel has no AppArmor.",
	"misc_props":                     "its first container names a program that it has not put into the bundle.",
	"process_capabilities":           "it wants every capability, and this machine has no CAP_SYS_RESOURCE; runc and crun do not start the container, berth-oci starts it without that one, with a warning.",
	"process_capabilities_fail":      "it wants that an unknown capability is an error; the specification wants a warning since 1.1.",
	"process_rlimits":                "the program that looks at the limits is written in Go, which raises its own limit of open files as it starts.",
	"start":                          "it wants that a container without `process` starts, under the heading that this must be an error.",
}

// deliberate are programs that may pass with another runtime and not with ours.
var deliberate = map[string]string{
	"pidfile": "it kills a container whose only process is `true`: it passes with whom that process has not ended yet.",
}
