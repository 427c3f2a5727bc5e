package apart

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Group is the control group below which everything belongs that is started
// with a scratch directory. Nobody has made it yet.
func Group(scratch string) string {
	return "/" + strings.ReplaceAll(filepath.Base(scratch), ".", "-")
}

// ownGroups makes a group of that name in every hierarchy, enters it and shows
// it as the root.
func ownGroups(name string) error {
	tops, err := hierarchies()
	if err != nil {
		return err
	}
	if err := makeGroups(tops, name); err != nil {
		return err
	}
	for _, top := range tops {
		if err := enter(top + name); err != nil {
			return err
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	for _, top := range tops {
		if err := unix.Mount(top+name, top, "", unix.MS_BIND, ""); err != nil {
			return os.NewSyscallError("mount", err)
		}
		if err := leaveRoot(top); err != nil {
			return err
		}
	}
	return nil
}

// MakeGroup makes a group, as Group names it, in every hierarchy. Run removes it.
func MakeGroup(name string) error {
	tops, err := hierarchies()
	if err != nil {
		return err
	}
	return makeGroups(tops, name)
}

func makeGroups(tops []string, name string) error {
	for _, top := range tops {
		dir := top + name
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := inheritCpuset(top, dir); err != nil {
			return err
		}
	}
	return nil
}

// hierarchies are the directories where a hierarchy is mounted.
func hierarchies() ([]string, error) {
	const top = "/sys/fs/cgroup"
	if _, err := os.Stat(top + "/cgroup.procs"); err == nil {
		return []string{top}, nil
	}
	files, err := filepath.Glob(top + "/*/cgroup.procs")
	var tops []string
	for _, f := range files {
		if dir := filepath.Dir(f); !isLink(dir) { // cpu beside cpu,cpuacct
			tops = append(tops, dir)
		}
	}
	return tops, err
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

func enter(dir string) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0)
}

// leaveRoot goes on in a leaf of a unified tree: a group that hands
// controllers down may have no processes itself.
func leaveRoot(top string) error {
	if _, err := os.Stat(filepath.Join(top, "cgroup.subtree_control")); err != nil {
		return nil //nolint:nilerr // not a unified tree
	}
	leaf := filepath.Join(top, "init")
	if err := os.Mkdir(leaf, 0o755); err != nil {
		return err
	}
	return enter(leaf)
}

// inheritCpuset: a group of version 1 has no processors before it is given some.
func inheritCpuset(from, to string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		text, err := os.ReadFile(filepath.Join(from, file))
		if err != nil {
			return nil //nolint:nilerr // another hierarchy
		}
		if err := os.WriteFile(filepath.Join(to, file), text, 0); err != nil {
			return err
		}
	}
	return nil
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
