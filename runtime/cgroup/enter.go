package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

func (g *group) Doors() ([]*os.File, error) {
	var doors []*os.File
	for i := range g.trees {
		t := &g.trees[i]
		if t.unified {
			continue
		}
		path := t.path + "/tasks"
		fd, err := kernel.Retry(func() (int, error) { return unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0) })
		if err != nil {
			for _, f := range doors {
				f.Close()
			}
			return nil, fault.Op("cgroup.doors", path, err)
		}
		doors = append(doors, os.NewFile(uintptr(fd), path))
	}
	return doors, nil
}

func (g *group) Dir() (*os.File, error) {
	t := g.unified()
	if t == nil {
		return nil, nil
	}
	if u := g.findUnit(); u != nil && u.user {
		if err := u.comeNear(); err != nil {
			return nil, fault.Op("cgroup.dir", t.path, err)
		}
	}
	fd, err := kernel.Retry(func() (int, error) {
		return unix.Open(t.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fault.Op("cgroup.dir", t.path, err)
	}
	return os.NewFile(uintptr(fd), t.path), nil
}

func (g *group) Enter(pid int) error {
	for i := range g.trees {
		d := g.dir(g.trees[i].path)
		err := d.write("cgroup.procs", strconv.Itoa(pid))
		d.close()
		if err != nil {
			return fault.Op("cgroup.enter", "", fault.Op("adding pid "+strconv.Itoa(pid)+" to", g.trees[i].path, err))
		}
	}
	return nil
}

// Sub returns the paths of groups below those of a container, for a process
// that shall enter there. Each word is [CONTROLLER[,CONTROLLER…]:]PATH; without
// controllers it means all. The groups must exist.
func Sub(paths map[string]string, words []string) (map[string]string, error) {
	out := make(map[string]string, len(paths))
	for name, path := range paths {
		out[name] = path
	}
	for _, word := range words {
		list, below, ok := strings.Cut(word, ":")
		names := strings.Split(list, ",")
		if !ok {
			below, names = word, nil
			for name := range paths {
				names = append(names, name)
			}
		}
		for _, name := range names {
			base, ok := paths[name]
			if !ok || (ok && name == "" && list == "" && strings.Contains(word, ":")) {
				return nil, fault.New(fault.Invalid, "unknown controller %s in cgroup %q", name, word)
			}
			path := filepath.Join(base, below)
			if path != base && !strings.HasPrefix(path, base+"/") {
				return nil, fault.New(fault.Invalid, "bad sub cgroup path: %s", below)
			}
			out[name] = path
		}
	}
	return out, nil
}
