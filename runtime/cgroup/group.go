package cgroup

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
)

// Manager is one container's groups. It holds no descriptors and no state but
// the paths: any number of processes may have one for the same container, and
// its methods may be called at the same time.
type Manager interface {
	// Create makes the groups and writes every limit; r may be nil. It fails
	// if a group is there with processes in it, or is frozen, and then leaves
	// things as they were.
	Create(r *specs.LinuxResources) error
	// Begin makes the group of the unified tree alone, where there is one, so
	// that a process can be born in it while Create, which must follow, does
	// the rest.
	Begin() error
	// Settle is called when the container's first process is in its groups.
	Settle()
	// Apply changes limits. What r does not name stays, device rules
	// included: of two numbers that v2 keeps in one file, or in another sum
	// (quota and period, memory and swap), one can be given alone.
	Apply(r *specs.LinuxResources) error
	// Doors opens "tasks" of every v1 hierarchy. A process with one thread
	// that writes "0" to each is in. The caller closes them.
	Doors() ([]*os.File, error)
	// Dir opens the directory in the unified tree for CLONE_INTO_CGROUP; nil
	// without error where there is none. The caller closes it.
	Dir() (*os.File, error)
	// Enter moves another process, all its threads, into every group.
	Enter(pid int) error
	// Stats reads the counters. What the machine does not count is zero.
	Stats() (Stats, error)
	// Freeze stops or resumes all processes and returns when it is done. On
	// failure nothing stays frozen.
	Freeze(ctx context.Context, on bool) error
	// Frozen reports whether the group is frozen or about to be.
	Frozen() (bool, error)
	// Pids lists the processes of the groups and all groups below, in order.
	Pids() ([]int, error)
	// Devices reads the device rules back, from the kernel. They say what
	// holds, not how it was said; on v2 whoever attached the filters.
	Devices() ([]Rule, error)
	// Kill sends SIGKILL to all of them, frozen or not. It does not wait.
	Kill() error
	// Remove removes the groups and all groups below them, waiting for
	// processes that are about to end: until ctx is done, two seconds at most.
	Remove(ctx context.Context) error
	// Paths gives the directories by controller, "" for the unified tree.
	Paths() map[string]string
	// OOMKills counts processes killed for lack of memory since Create.
	OOMKills() (uint64, error)
	// WatchOOM starts to watch for them. The caller closes it.
	WatchOOM() (*Watch, error)
	// Victims lists who was killed for lack of memory, and whose limit it was,
	// as far back as the kernel's log goes. It needs the right to read that,
	// and is a help for people, not a count: of many in a row the kernel
	// reports some, and a group of the same name before this one is in it.
	Victims() ([]Victim, error)
}

// group implements Manager for v1, v2 and both at once: each tree knows which
// it is.
type group struct {
	trees []tree // the unified tree last
	begun bool   // Begin made the unified one: who is in it is ours
	unit  *unit  // if systemd makes it

	// Trees in which we may make nothing are left out, and why is here by
	// controller, "" for the unified one.
	barred map[string]error
	v2     bool // the machine has nothing else

	seam seam // tests
	fake bool // tests: not a cgroup file system
}

// Reopen returns the manager that had these Paths.
func Reopen(paths map[string]string) (Manager, error) {
	const op = "cgroup.reopen"
	if paths == nil { // an empty map is a group of which nothing could be made
		return nil, fault.Op(op, "", fault.New(fault.Damaged, "no paths of any group"))
	}
	g := &group{}
	unified, hasUnified := paths[""]
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		path := paths[name]
		if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" || strings.ContainsRune(path, 0) {
			return nil, fault.Op(op, name, fault.New(fault.Damaged, "%q is no directory of a group", path))
		}
		if name == "" || (hasUnified && path == unified) {
			continue
		}
		g.join(name, path)
	}
	if hasUnified {
		t := tree{unified: true, path: unified}
		for name, path := range paths {
			if name != "" && path == unified {
				t.controllers = append(t.controllers, name)
			}
		}
		slices.Sort(t.controllers)
		g.trees = append(g.trees, t)
	}
	return g, nil
}

// join adds a controller of v1; some hierarchies have several.
func (g *group) join(name, path string) {
	for i := range g.trees {
		if g.trees[i].path == path {
			g.trees[i].controllers = append(g.trees[i].controllers, name)
			return
		}
	}
	g.trees = append(g.trees, tree{controllers: []string{name}, path: path})
}

func (g *group) Paths() map[string]string {
	out := make(map[string]string)
	for _, t := range g.trees {
		if t.unified {
			out[""] = t.path
		}
		for _, c := range t.controllers {
			out[c] = t.path
		}
	}
	return out
}

// find returns the tree that has controller, or nil.
func (g *group) find(controller string) *tree {
	for i := range g.trees {
		if g.trees[i].has(controller) {
			return &g.trees[i]
		}
	}
	return nil
}

// unified returns the tree of v2, or nil.
func (g *group) unified() *tree {
	if n := len(g.trees); n > 0 && g.trees[n-1].unified {
		return &g.trees[n-1]
	}
	return nil
}

// pure reports whether all is v2.
func (g *group) pure() bool { return len(g.trees) == 1 && g.trees[0].unified }

// name is how errors call the group.
func (g *group) name() string {
	if len(g.trees) == 0 {
		return "(none)"
	}
	return g.trees[len(g.trees)-1].path
}
