package resctrl

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/fault"
)

// Group is where a container belongs; it is kept in the container's record.
type Group struct {
	Root    string `json:"root"`              // where resctrl is mounted
	Dir     string `json:"dir"`               // of the group, absolute
	New     bool   `json:"new,omitempty"`     // Make makes it
	Own     bool   `json:"own,omitempty"`     // Remove removes it: it has the container's name
	Monitor string `json:"monitor,omitempty"` // of the group that counts; always the container's own
}

// Choose finds the group of container id below root, where resctrl is mounted.
func Choose(root, id string, want *specs.LinuxIntelRdt) (*Group, error) {
	if err := Check(want); err != nil {
		return nil, err
	}
	name, field := want.ClosID, "linux.intelRdt.closID"
	if name == "" {
		name, field = id, "linux.intelRdt"
	}
	if reserved(name) {
		return nil, fault.New(fault.Invalid, "%s: a group cannot have the name %q", field, name)
	}
	g := &Group{Root: root, Dir: filepath.Join(root, name)}
	_, err := os.Lstat(g.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && want.ClosID != "" && len(Lines(want)) == 0:
		return nil, fault.New(fault.NotFound, "linux.intelRdt.closID: there is no group %s, and no schemata to make one with", g.Dir)
	case errors.Is(err, fs.ErrNotExist):
		g.New, g.Own = true, want.ClosID == ""
	case err != nil:
		return nil, err
	}
	if want.EnableMonitoring {
		g.Monitor = filepath.Join(g.Dir, "mon_groups", id)
	}
	return g, nil
}

// Make makes what is new of a group, or sees that one that was there gives
// what is wanted. When it fails nothing of it is left.
func (g *Group) Make(want *specs.LinuxIntelRdt) error {
	undo := cleanup.New()
	err := g.make(want, undo)
	if err != nil {
		return errors.Join(err, undo.Run())
	}
	undo.Release()
	return nil
}

func (g *Group) make(want *specs.LinuxIntelRdt, undo *cleanup.Stack) error {
	if g.New {
		if err := g.mkdir(g.Dir); err != nil {
			return err
		}
		undo.Add(func() error { return rmdir(g.Dir) })
		if err := g.Set(Lines(want)); err != nil {
			return err
		}
	} else if err := g.compare(Lines(want)); err != nil {
		return err
	}
	if g.Monitor == "" {
		return nil
	}
	return g.mkdir(g.Monitor)
}

// A Line is what is written to schemata at a time, and the field it is from.
type Line struct{ Field, Text string }

// Lines are what a specification wants, in the order it is to be written.
func Lines(want *specs.LinuxIntelRdt) []Line {
	var all []Line
	add := func(field, text string) {
		if text != "" {
			all = append(all, Line{"linux.intelRdt." + field, text})
		}
	}
	add("l3CacheSchema", want.L3CacheSchema)
	add("memBwSchema", want.MemBwSchema)
	for i, s := range want.Schemata {
		add("schemata["+strconv.Itoa(i)+"]", s)
	}
	return all
}

// Set writes lines to the group's schemata.
func (g *Group) Set(all []Line) error {
	for _, l := range all {
		if err := g.write(filepath.Join(g.Dir, "schemata"), l.Text+"\n"); err != nil {
			return fault.Op(l.Field, l.Text, err)
		}
	}
	return nil
}

// compare wants every line to hold in a group that was there before: it is
// somebody else's, too, and not to be changed.
func (g *Group) compare(all []Line) error {
	if len(all) == 0 {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(g.Dir, "schemata"))
	if err != nil {
		return err
	}
	for _, l := range all {
		if !holds(string(text), l.Text) {
			return fault.New(fault.Conflict, "%s: group %s is there already and has not %q but:\n%s", l.Field, g.Dir, l.Text, text)
		}
	}
	return nil
}

// Dirs are the groups in whose tasks a process of the container writes itself,
// in this order: a group that counts takes only who is in the other. None for
// a nil group.
func (g *Group) Dirs() []string {
	switch {
	case g == nil:
		return nil
	case g.Monitor == "":
		return []string{g.Dir}
	}
	return []string{g.Dir, g.Monitor}
}

// Remove removes what belongs to the container alone. What is not there is
// no error. The kernel takes whoever is left into the group above.
func (g *Group) Remove() error {
	if g == nil {
		return nil
	}
	var err error
	if g.Monitor != "" {
		err = rmdir(g.Monitor)
	}
	if g.Own {
		err = errors.Join(err, rmdir(g.Dir))
	}
	return err
}

// Undo removes what Make has made, for a container that has not come to be.
// A group of another name stays if somebody else has gone into it meanwhile.
func (g *Group) Undo() error {
	err := g.Remove()
	if g == nil || !g.New || g.Own {
		return err
	}
	tasks, rerr := os.ReadFile(filepath.Join(g.Dir, "tasks"))
	if rerr != nil || strings.TrimSpace(string(tasks)) != "" {
		return err
	}
	return errors.Join(err, rmdir(g.Dir))
}

func (g *Group) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fault.Op("linux.intelRdt: make group", "", g.explain(err))
	}
	return nil
}

func rmdir(dir string) error {
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &os.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}

func (g *Group) write(name, text string) error {
	return g.explain(os.WriteFile(name, []byte(text), 0o600))
}

// explain adds what the kernel has to say about the last write or mkdir.
func (g *Group) explain(err error) error {
	if err == nil {
		return nil
	}
	why, rerr := os.ReadFile(filepath.Join(g.Root, "info", "last_cmd_status"))
	if text := strings.TrimSpace(string(why)); rerr == nil && text != "" && text != "ok" {
		return fault.New(fault.Invalid, "%w: %s", err, text)
	}
	return err
}
