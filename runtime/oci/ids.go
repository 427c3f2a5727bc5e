package oci

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
)

// hasNamespace says whether a container has a namespace of a kind, made or
// joined.
func hasNamespace(s *specs.Spec, kind specs.LinuxNamespaceType) bool {
	return slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
}

// makesNamespace says whether it gets one that is new. A user namespace that is
// joined has its maps.
func makesNamespace(s *specs.Spec, kind specs.LinuxNamespaceType) bool {
	return slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind && n.Path == "" })
}

// machineID is our number of a user or group in a process's user namespace;
// kind is "uid" or "gid". The map of our own namespace is of no use: whoever
// reads it from inside gets numbers of the namespace above, user_namespaces(7).
func machineID(pid int, kind string, id uint32) (uint32, error) {
	proc := "/proc/" + strconv.Itoa(pid) + "/"
	if ours, err := sameFile("/proc/self/ns/user", proc+"ns/user"); err != nil || ours {
		return id, err
	}
	file := proc + kind + "_map"
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		var n [3]uint64
		f := strings.Fields(line)
		for i := range n {
			if len(f) == 3 {
				n[i], _ = strconv.ParseUint(f[i], 10, 32)
			}
		}
		if id := uint64(id); id >= n[0] && id-n[0] < n[2] {
			return uint32(n[1] + id - n[0]), nil
		}
	}
	return 0, fault.New(fault.Invalid, "%s: id %d is not mapped", file, id)
}
