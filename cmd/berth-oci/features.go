package main

import (
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/runtime/cgroup"
)

// addFeatures fills in what this kernel has a part in, and the longer lists;
// see features-linux.md.
func addFeatures(f *features.Features) {
	yes := true
	f.MountOptions = mount.Options()
	f.PotentiallyUnsafeConfigAnnotations = []string{cgroup.AnnotationPrefix}
	l := f.Linux
	caps := kernel.Capabilities()
	l.Capabilities = caps[:min(len(caps), int(kernel.LastCap())+1)]
	l.Cgroup.Rdma = &yes
	l.IntelRdt = &features.IntelRdt{Enabled: &yes, Schemata: &yes, Monitoring: &yes}
	l.MemoryPolicy = &features.MemoryPolicy{
		Modes: []string{"MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED", "MPOL_PREFERRED_MANY", "MPOL_LOCAL"},
		Flags: []string{"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"},
	}
	l.MountExtensions = &features.MountExtensions{IDMap: &features.IDMap{Enabled: &yes}}
	l.NetDevices = &features.NetDevices{Enabled: &yes}
}
