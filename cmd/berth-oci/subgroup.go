package main

import (
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// subCgroups reads exec's --cgroup [CONTROLLER[,CONTROLLER]:]PATH. The path
// under "" is for all hierarchies.
func subCgroups(flags []string) (map[string]string, error) {
	if len(flags) == 0 {
		return nil, nil
	}
	paths := map[string]string{}
	for _, f := range flags {
		list, path, named := strings.Cut(f, ":")
		if !named {
			if len(flags) > 1 {
				return nil, fault.New(fault.Invalid, "--cgroup %s: no CONTROLLER: before the path, and there is more than one --cgroup", f)
			}
			return map[string]string{"": f}, nil
		}
		for _, c := range strings.Split(list, ",") {
			if c == "" {
				return nil, fault.New(fault.Invalid, "--cgroup %s: an empty name of a controller", f)
			}
			if _, twice := paths[c]; twice {
				return nil, fault.New(fault.Invalid, "--cgroup %s: controller %s is named twice", f, c)
			}
			paths[c] = path
		}
	}
	return paths, nil
}
