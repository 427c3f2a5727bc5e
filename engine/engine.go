package engine

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/image/courier"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
	"github.com/berth-engine/berth/snapshot/overlay"
)

// Directories used when Config names none.
const (
	DefaultRoot  = "/var/lib/berth"
	DefaultState = "/run/berth"
)

// Config says where an engine keeps things. The zero value is the machine's
// own engine.
type Config struct {
	Root    string // what survives a reboot; "" is DefaultRoot
	State   string // what does not: sockets, FIFOs; "" is DefaultState
	Runtime string // berth-oci; "" looks beside this program, then in PATH
	// Registry is berth-registry, which pulls and decompresses; "" looks likewise.
	Registry string
	Logins   string // directory of docker's config.json; "" is DOCKER_CONFIG's or ~/.docker
	Self     string // this program, which monitors call to remove a --rm container; "" finds it
	// Fail is asked before each step of a multi-step operation; an error
	// makes the step fail. For tests.
	Fail func(step string) error
}

// Engine is a hub: the use cases hang on its nouns.
type Engine struct {
	Containers *Containers
	Images     *Images
	System     *System
}

// Containers are the use cases of containers.
type Containers struct{ *rooms }

// Images are the use cases of images.
type Images struct{ *rooms }

// System are the use cases of the engine itself.
type System struct{ *rooms }

// Open returns an engine. It reads nothing.
func Open(cfg Config) (*Engine, error) {
	if cfg.Root == "" {
		cfg.Root = DefaultRoot
	}
	if cfg.State == "" {
		cfg.State = DefaultState
	}
	for _, dir := range []*string{&cfg.Root, &cfg.State} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return nil, err
		}
		*dir = abs
	}
	if cfg.Fail == nil {
		cfg.Fail = func(string) error { return nil }
	}
	r := &rooms{cfg: cfg}
	r.trees = sync.OnceValues(r.openTrees)
	r.images = sync.OnceValues(r.openImages)
	r.records = sync.OnceValues(r.openRecords)
	return &Engine{&Containers{r}, &Images{r}, &System{r}}, nil
}

// rooms opens each room when it is first asked for.
type rooms struct {
	cfg     Config
	trees   func() (*snapshot.Store, error)
	images  func() (*image.Store, error)
	records func() (*container.Store, error)
}

func (r *rooms) openTrees() (*snapshot.Store, error) {
	if err := r.makeRoot(); err != nil {
		return nil, err
	}
	dir := filepath.Join(r.cfg.Root, "snapshots")
	d, err := overlay.New(dir)
	if err != nil {
		return nil, notOurs(err)
	}
	s, err := snapshot.Open(dir, d)
	return s, notOurs(err)
}

func (r *rooms) openImages() (*image.Store, error) {
	trees, err := r.trees()
	if err != nil {
		return nil, err
	}
	return image.Open(r.cfg.Root, trees, courier.Fetch(r.registry, r.cfg.Logins), courier.Decode(r.registry))
}

func (r *rooms) openRecords() (*container.Store, error) {
	if err := r.makeRoot(); err != nil {
		return nil, err
	}
	s, err := container.Open(r.cfg.Root)
	return s, notOurs(err)
}

// makeRoot makes the root directory.
func (r *rooms) makeRoot() error {
	return notOurs(fault.Op("engine.open", r.cfg.Root, os.MkdirAll(r.cfg.Root, 0o711)))
}

// notOurs adds to the refusal of a directory what to do about it.
func notOurs(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fault.New(fault.Denied, "%w: run berth as root, or give it directories of your own with --root and --state", err)
	}
	return err
}

// runtime finds berth-oci.
func (r *rooms) runtime() (string, error) {
	return r.program("berth-oci", "the runtime berth-oci", r.cfg.Runtime, "BERTH_OCI")
}

// registry finds berth-registry.
func (r *rooms) registry() (string, error) {
	return r.program("berth-registry", "berth-registry, which pulls and decompresses,", r.cfg.Registry, "BERTH_REGISTRY")
}

// program finds another program of ours: as configured, from the environment
// variable, beside this program, or in PATH. subject is what an error is about.
func (r *rooms) program(name, subject, configured, variable string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	if p := os.Getenv(variable); p != "" {
		return p, nil
	}
	if self, err := r.self(); err == nil {
		p := filepath.Join(filepath.Dir(self), name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p, nil
		}
	}
	p, err := exec.LookPath(name)
	if err != nil {
		return "", fault.New(fault.NotFound, "%s is neither beside berth nor in PATH; install it or set %s", subject, variable)
	}
	return filepath.Abs(p)
}

func (r *rooms) self() (string, error) {
	if r.cfg.Self != "" {
		return r.cfg.Self, nil
	}
	return os.Executable()
}
