package oci

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/plan"
	"github.com/berth-engine/berth/runtime/resctrl"
)

// chooseResctrl finds the group that linux.intelRdt asks for; nil for none.
func (r *Runtime) chooseResctrl(id string, s *specs.Spec) (*resctrl.Group, error) {
	if s.Linux == nil || s.Linux.IntelRdt == nil {
		return nil, nil
	}
	root, err := r.resctrlRoot()
	switch {
	case err != nil:
		return nil, err
	case root == "":
		return nil, fault.New(fault.Unsupported, "linux.intelRdt: resctrl is not mounted on this machine; where processor and kernel have it: mount -t resctrl resctrl /sys/fs/resctrl")
	}
	return resctrl.Choose(root, id, s.Linux.IntelRdt)
}

func (r *Runtime) resctrlRoot() (string, error) {
	if r.resctrl != "" {
		return r.resctrl, nil
	}
	return resctrl.Mounted()
}

func (c *creation) makeResctrl(context.Context) error {
	if c.st.Resctrl == nil {
		return nil
	}
	if err := c.st.Resctrl.Make(c.spec.Linux.IntelRdt); err != nil {
		return err
	}
	c.undo.Add(c.st.Resctrl.Undo)
	return nil
}

// resctrlDoors are what a process of the container enters by itself.
func resctrlDoors(g *resctrl.Group) (doors []plan.Door) {
	for _, dir := range g.Dirs() {
		doors = append(doors, plan.Door{Name: "of resctrl", Dir: dir})
	}
	return doors
}

func explainResctrl(w io.Writer, g *resctrl.Group, s *specs.Spec) error {
	if g == nil || !g.New {
		return nil
	}
	text := fmt.Sprintf(" %-10s     mkdir %s\n", "resctrl", g.Dir)
	for _, l := range resctrl.Lines(s.Linux.IntelRdt) {
		text += fmt.Sprintf(" %-10s     schemata = %s\n", "resctrl", l.Text)
	}
	_, err := io.WriteString(w, text)
	return err
}

// SetCaches changes the shares of caches and memory bandwidth of a container;
// lines are as in schemata.
func (r *Runtime) SetCaches(id string, lines []resctrl.Line) error {
	s, err := r.State(id)
	if err != nil {
		return err
	}
	g := s.Resctrl
	switch {
	case g == nil:
		return fault.New(fault.Invalid, "%s: container %s was created without linux.intelRdt, so it has no group of its own", lines[0].Field, id)
	case g.Dir == g.Root:
		return fault.New(fault.Invalid, "%s: container %s is in the group of everybody (linux.intelRdt.closID is /)", lines[0].Field, id)
	}
	return g.Set(lines)
}
