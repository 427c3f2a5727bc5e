package oci

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// subGroups moves a container's groups to groups below them: sub is by
// controller, "" for all. They exist already, a process only enters them.
func subGroups(groups, sub map[string]string) (map[string]string, error) {
	out := maps.Clone(groups)
	for controller, path := range sub {
		found := false
		for name, dir := range groups {
			if controller != "" && controller != strings.TrimPrefix(name, "name=") {
				continue
			}
			found = true
			to, err := below(dir, path)
			if err != nil {
				return nil, err
			}
			out[name] = to
		}
		if !found {
			return nil, fault.New(fault.Invalid, "unknown controller %s: this container has no group of it", controller)
		}
	}
	return out, nil
}

// below joins a path to a group's that stays below it.
func below(dir, path string) (string, error) {
	to := filepath.Join(dir, path)
	if to != dir && !strings.HasPrefix(to, dir+"/") {
		return "", fault.New(fault.Invalid, "bad sub cgroup path: %s", path)
	}
	if _, err := os.Stat(to); errors.Is(err, fs.ErrNotExist) {
		return "", fault.New(fault.NotFound, "exec: adding pid to cgroup %s: no such file or directory", to)
	} else if err != nil {
		return "", err
	}
	return to, nil
}
