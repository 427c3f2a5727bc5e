package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-engine/berth/internal/kernel"
)

// runDir is a container's directory in the state directory.
func (r *rooms) runDir(id string) string { return filepath.Join(r.cfg.State, "containers", id) }

// runtimeRoot is where the runtime keeps its state of our containers.
func (r *rooms) runtimeRoot() string { return filepath.Join(r.cfg.State, "oci") }

// makeState makes the directories that those of containers are made in. What
// makeOwn looks for comes last.
func (r *rooms) makeState() error {
	if err := kernel.Spread(r.runtimeRoot()); err != nil {
		return err
	}
	return kernel.Spread(filepath.Join(r.cfg.State, "containers"))
}

// makeOwn makes a container's own directory, if it is not there.
func (r *rooms) makeOwn(dir string) error {
	if st, err := os.Stat(dir); err == nil && st.IsDir() {
		return nil
	}
	err := kernel.MkdirSpread(dir)
	if errors.Is(err, fs.ErrNotExist) { // the first since the machine was started
		if err := r.makeState(); err != nil {
			return err
		}
		err = kernel.MkdirSpread(dir)
	}
	return err
}
