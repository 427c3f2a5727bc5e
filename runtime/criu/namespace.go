package criu

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// begin starts CRIU. To restore, it wants a root that is a mount point. That is
// made in a mount namespace of its own, so that nothing of it shows, and
// nothing of it is left however we end.
func (j *Job) begin(work *exec.Cmd) error {
	if j.Verb != Restore {
		return j.launch(work)
	}
	return kernel.OwnMounts(func() error {
		if err := unix.Mount(j.Root, j.Root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fault.Op("bind", j.Root, err)
		}
		return j.launch(work)
	})
}

// launch opens the directories and starts CRIU, which works in one of them and
// mounts there: they must be of its own mount namespace.
func (j *Job) launch(work *exec.Cmd) error {
	for _, d := range []struct {
		path string
		fd   *int
	}{{j.ImagesDir, &j.Images}, {j.WorkDir, &j.Work}} {
		f, err := os.OpenFile(d.path, os.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		j.dirs = append(j.dirs, f)
		*d.fd = int(f.Fd())
	}
	// What an earlier try wrote would explain the wrong failure.
	if err := os.Remove(filepath.Join(j.WorkDir, j.Log)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := work.Start(); err != nil {
		return fault.New(fault.Unavailable, "cannot start %s: %w", work.Path, err)
	}
	return nil
}

func (j *Job) closeDirs() error {
	var errs []error
	for _, f := range j.dirs {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
