package apart

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Group is the control group below which everything belongs that is started
// with a scratch directory. Nobody has made it yet.
func Group(scratch string) string {
	return "/" + strings.ReplaceAll(filepath.Base(scratch), ".", "-")
}

// removeGroups removes the groups of that name in every hierarchy. A group
// whose last process has just been killed is busy for a moment.
func removeGroups(name string) error {
	var err error
	for range 100 {
		if err = tryRemoveGroups(name); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

func tryRemoveGroups(name string) error {
	tops, err := filepath.Glob("/sys/fs/cgroup/*/" + name)
	if err != nil {
		return err
	}
	if _, err := os.Stat("/sys/fs/cgroup/" + name); err == nil {
		tops = append(tops, "/sys/fs/cgroup/"+name)
	}
	var errs []error
	for _, top := range tops {
		var dirs []string
		errs = append(errs, filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		}))
		for _, d := range slices.Backward(dirs) {
			errs = append(errs, os.Remove(d))
		}
	}
	return errors.Join(errs...)
}
