package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/internal/under"
	"github.com/berth-engine/berth/runtime/cgroup"
	"github.com/berth-engine/berth/runtime/resctrl"
)

// Runtime keeps containers below Root, one directory each.
type Runtime struct {
	Root string // absolute; made when the first container is
	// Layout are the machine's cgroups; nil: Create looks at them itself.
	Layout *cgroup.Layout
	// Systemd has systemd make the groups of new containers.
	Systemd bool
	// Warn takes what does not stop an operation; nil drops it.
	Warn func(err error)
	// resctrl is for tests where it is mounted; "": mountinfo says it.
	resctrl string
	// seam lets a test fail, or die, before a step of Create.
	seam func(step string) error

	mu   sync.Mutex
	kept map[string]State // what this process has recorded, by id
}

func (r *Runtime) reach(step string) error {
	if r.seam == nil {
		return nil
	}
	return r.seam(step)
}

func (r *Runtime) warn(err error) {
	if err != nil && r.Warn != nil {
		r.Warn(err)
	}
}

// State is a container as its record says, with the status of this moment.
type State struct {
	specs.State
	Rootfs     string            `json:"rootfs"`
	Created    time.Time         `json:"created"`
	Owner      string            `json:"owner"`
	StartTicks uint64            `json:"startTicks"`
	Boot       string            `json:"boot"`
	Cgroups    map[string]string `json:"cgroups"`
	Program    string            `json:"program"` // args[0], for the errors of a later start
	Hooks      bool              `json:"hooks,omitempty"`
	Resctrl    *resctrl.Group    `json:"resctrl,omitempty"`
	Below      uint64            `json:"below,omitempty"` // the mount under the root, where that is attached on the machine
}

// CheckID refuses names that are no plain file names. The rule is runc's.
func CheckID(id string) error {
	plain := strings.IndexFunc(id, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '+' || c == '.' || c == '-')
	}) < 0
	if id == "" || !plain || id == "." || id == ".." || len(id) > 255 {
		return fault.New(fault.Invalid, "invalid container id %q: letters, digits and _+-. are allowed", id)
	}
	return nil
}

func (r *Runtime) dir(id string) string       { return filepath.Join(r.Root, id) }
func (r *Runtime) stateFile(id string) string { return filepath.Join(r.Root, id, "state.json") }
func (r *Runtime) startFile(id string) string { return filepath.Join(r.Root, id, "start") }
func (r *Runtime) config(id string) string    { return filepath.Join(r.Root, id, "config.json") }
func (r *Runtime) report(id string) string    { return filepath.Join(r.Root, id, "report") }

// State returns a container and its status.
func (r *Runtime) State(id string) (*State, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	s, err := r.load(id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, serr := os.Stat(r.dir(id)); serr == nil {
			return nil, fault.New(fault.NotFound, "container %q is being created, or its creation was interrupted; delete --force removes it", id)
		}
		return nil, fault.New(fault.NotFound, "container %q does not exist", id)
	case err == nil && s.ID != id:
		err = fault.New(fault.Damaged, "read %s: it is of container %q", r.stateFile(id), s.ID)
	}
	if err != nil {
		return nil, fault.Op("container", id, fmt.Errorf("%w (end its processes, then remove %s)", err, r.dir(id)))
	}
	s.Status = r.status(&s)
	if s.Status == specs.StateStopped {
		s.Pid = 0
	}
	return &s, nil
}

// load reads a record. Records do not change once they have their process, so
// one that was written or read before needs no reading, only to be there still.
func (r *Runtime) load(id string) (s State, err error) {
	r.mu.Lock()
	s, ok := r.kept[id]
	r.mu.Unlock()
	if ok {
		_, err = os.Lstat(r.stateFile(id))
		return s, err
	}
	if err = disk.ReadJSON(r.stateFile(id), &s); err == nil && s.Pid != 0 && s.ID == id {
		r.keep(&s)
	}
	return s, err
}

// StatePaused is runc's status for a frozen container; the specification has
// no word for it.
const StatePaused specs.ContainerState = "paused"

func (r *Runtime) status(s *State) specs.ContainerState {
	switch {
	case s.Pid == 0:
		return specs.StateCreating
	case !s.alive():
		return specs.StateStopped
	}
	if m, err := cgroup.Reopen(s.Cgroups); err == nil {
		if frozen, err := m.Frozen(); err == nil && frozen {
			return StatePaused
		}
	}
	if _, err := os.Lstat(r.startFile(s.ID)); err == nil {
		return specs.StateCreated
	}
	return specs.StateRunning
}

func (s *State) alive() bool { return kernel.Alive(s.Pid, s.StartTicks, s.Boot) }

// rootOf is the container's root as it sees it itself.
func rootOf(s *State) string { return "/proc/" + strconv.Itoa(s.Pid) + "/root" }

func (r *Runtime) save(s *State) error {
	if err := disk.WriteJSON(r.stateFile(s.ID), s, 0o600, false); err != nil {
		return err
	}
	r.keep(s)
	return nil
}

func (r *Runtime) keep(s *State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil {
		r.kept = map[string]State{}
	}
	r.kept[s.ID] = *s
}

// forget removes a container's directory and what is known of it.
func (r *Runtime) forget(id string) error {
	r.mu.Lock()
	delete(r.kept, id)
	r.mu.Unlock()
	for _, file := range []string{r.stateFile(id), r.config(id), r.report(id), r.startFile(id)} {
		if err := syscall.Unlink(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if syscall.Rmdir(r.dir(id)) == nil {
		return nil
	}
	return under.RemoveTree(r.dir(id)) // something else is in it
}

// List returns all containers, oldest first. An entry that cannot be read is
// reported through Warn.
func (r *Runtime) List() ([]*State, error) {
	entries, err := os.ReadDir(r.Root)
	if err != nil {
		return nil, err
	}
	var all []*State
	for _, e := range entries {
		if !e.IsDir() || CheckID(e.Name()) != nil {
			continue
		}
		s, err := r.State(e.Name())
		if err != nil {
			r.warn(err)
			continue
		}
		all = append(all, s)
	}
	return all, nil
}
