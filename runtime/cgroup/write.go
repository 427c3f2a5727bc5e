package cgroup

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
)

// work is what Create and Apply do with one set of resources.
type work struct {
	files []File
	rules []Rule // for a program; nil: leave alone
}

// compile decides everything that can be decided before anything is touched:
// which version every controller has here, and that all needed ones exist.
func (g *group) compile(r *specs.LinuxResources, update bool) (work, error) {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	keepDevices := update && r.Devices == nil
	var w work
	var err error
	w.files, err = compile(r, func(s section) Version {
		if s.v1 == "devices" && (keepDevices || g.find("devices") == nil) {
			return 0
		}
		return g.version(s)
	})
	if err != nil {
		return w, err
	}
	for _, f := range w.files {
		if g.target(f.Controller) == nil && !f.Optional {
			return w, fault.Op("linux.resources."+f.Field, "", g.lacks(f.Controller))
		}
	}
	if g.find("devices") == nil && !keepDevices {
		if g.unified() == nil && len(g.barred) > 0 {
			return w, nil // those of the group that we are in hold below it
		}
		if g.unified() == nil {
			return w, fault.New(fault.Unsupported, "no devices controller is mounted: devices cannot be confined")
		}
		w.rules, err = DeviceRules(r.Devices)
	}
	return w, err
}

// lacks says why there is no controller.
func (g *group) lacks(controller string) error {
	name := controller
	if controller == "cgroup" {
		name = ""
	}
	if err := g.barred[name]; err != nil {
		return fault.New(fault.Denied, "no right to limit %s: %w (run without this limit, or have the group delegated)", controller, err)
	}
	return fault.New(fault.Unsupported, "cgroup controller %s is not available here", controller)
}

// version is which version a section's controller has here. On a hybrid
// machine each controller is in one of the two; one that is in neither is v1's,
// whose names the error will have.
func (g *group) version(s section) Version {
	at := g.find(s.v1)
	switch {
	case g.pure(), g.v2:
		return V2
	case at != nil && !at.unified:
		return V1
	case s.v2 != "" && g.unified() != nil && g.unified().has(s.v2):
		return V2
	}
	return V1
}

// target is the tree that a file of controller is written to. The files of
// the core ("cgroup.max.depth") need no controller, nor does pressure.
func (g *group) target(controller string) *tree {
	if controller == "cgroup" {
		return g.unified()
	}
	return g.find(controller)
}

// writeFiles writes files that all belong to d, in their order. What the kernel
// says is invalid may be so only because of a value that a later file
// changes: it is tried once more at the end.
func (g *group) writeFiles(d *dir, files []File) error {
	var late []File
	open := handle{dir: d, fd: -1}
	defer open.close()
	for _, f := range files {
		err := open.write(f)
		if f.Controller == "devices" && f.Text == "a" && errors.Is(err, unix.EINVAL) {
			err = replaceDevices(d, files)
		} else if f.Controller != "devices" && errors.Is(err, unix.EINVAL) && len(files) > 1 {
			late = append(late, f)
			continue
		}
		if err != nil {
			return refusal(f, err)
		}
	}
	for _, f := range late {
		if err := open.write(f); err != nil {
			return refusal(f, err)
		}
	}
	return nil
}

// handle keeps the file last written open: device rules go one after the
// other to the same.
type handle struct {
	dir  *dir
	name string
	fd   int
}

func (h *handle) close() {
	if h.fd >= 0 {
		unix.Close(h.fd)
		h.fd = -1
	}
}

// write writes f, or what stands for it where the file is missing.
func (h *handle) write(f File) error {
	if h.fd < 0 || h.name != f.Name {
		h.close()
		fd, err := h.dir.open(f.Name, unix.O_WRONLY)
		switch {
		case errors.Is(err, unix.ENOENT) && f.Alt != nil:
			return h.write(*f.Alt)
		case errors.Is(err, unix.ENOENT) && f.Optional:
			return nil
		case err != nil:
			return err
		}
		h.fd, h.name = fd, f.Name
	}
	return h.dir.put(h.fd, f.Name, f.Text)
}

// refusal turns the kernel's errno into a sentence about the field.
func refusal(f File, err error) error {
	kind, hint := fault.Internal, ""
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE):
		kind, hint = fault.Invalid, hints(f)
	case errors.Is(err, unix.ENOENT):
		kind, hint = fault.Unsupported, " (this kernel does not have it)"
	case errors.Is(err, unix.EBUSY) && f.Controller == "memory":
		kind, hint = fault.Conflict, " (the container uses more than that)"
	case errors.Is(err, unix.EBUSY):
		kind = fault.Conflict
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		kind = fault.Denied
	case errors.Is(err, unix.ENODEV):
		kind, hint = fault.NotFound, " (no such device)"
	}
	return fault.Op("linux.resources."+f.Field, "", fault.New(kind, "write %q to %s: %w%s", f.Text, f.Name, err, hint))
}

func hints(f File) string {
	switch {
	case f.Field == "memory.limit" || f.Field == "memory.swap":
		return " (memory plus swap cannot be less than memory: set both)"
	case strings.HasPrefix(f.Field, "cpu.") && f.Controller == "cpu":
		return " (out of range, or more than the parent group has)"
	case f.Controller == "cpuset":
		return " (no such CPU or memory node, or the parent group has it not)"
	}
	return ""
}

// apply writes the files of every tree.
func (g *group) apply(files []File, dirs []*dir) error {
	for i := range g.trees {
		mine := slices.DeleteFunc(slices.Clone(files), func(f File) bool { return g.target(f.Controller) != &g.trees[i] })
		if len(mine) == 0 {
			continue
		}
		if err := g.writeFiles(dirs[i], mine); err != nil {
			return err
		}
	}
	return nil
}

// dirs returns a directory for each tree, and what closes them.
func (g *group) dirs() ([]*dir, func()) {
	dirs := make([]*dir, len(g.trees))
	for i := range g.trees {
		dirs[i] = g.dir(g.trees[i].path)
	}
	return dirs, func() {
		for _, d := range dirs {
			d.close()
		}
	}
}
