package oci

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/criu"
	"github.com/berth-engine/berth/runtime/plan"
)

// ImageRequest is what a checkpoint and a restore have in common.
type ImageRequest struct {
	ID     string
	Images string // directory of the image files
	// Work is the directory of CRIU's log; "" is that of the images.
	Work       string
	CgroupMode string // soft, full, strict or ignore; "" is soft
	criu.Options
}

// dirs checks the directories; with make, those of the images are made. What is
// made goes again with undo if nothing is in it.
func (q *ImageRequest) dirs(makeImages bool, undo *cleanup.Stack) error {
	if err := criu.CheckMode(q.CgroupMode); err != nil {
		return err
	}
	if q.Work == "" {
		q.Work = q.Images
	}
	if makeImages {
		if err := makeDir(q.Images, undo); err != nil {
			return fault.Op("image directory", "", err)
		}
	}
	if err := isDir(q.Images); err != nil {
		return fault.Op("image directory", "", err)
	}
	if err := makeDir(q.Work, undo); err != nil {
		return fault.Op("work directory", "", err)
	}
	return fault.Op("work directory", "", isDir(q.Work))
}

// makeDir makes a directory and those above it. Memory of processes will be in
// it, so it is its owner's.
func makeDir(dir string, undo *cleanup.Stack) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if up := filepath.Dir(dir); up != dir {
		if err := makeDir(up, undo); err != nil {
			return err
		}
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		undo.Add(func() error { return unmakeDir(dir) })
	} else if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return err
}

// letSearch lets root of a container's user namespace, and nobody else, search
// the directory: CRIU looks there with its rights when it restores.
func letSearch(dir string, s *specs.Spec) error {
	if !makesNamespace(s, specs.UserNamespace) {
		return nil
	}
	if gid, ok := plan.HostID(s.Linux.GIDMappings, 0); ok {
		return errors.Join(os.Chown(dir, -1, int(gid)), os.Chmod(dir, 0o710))
	}
	return nil
}

// unmakeDir removes a directory of ours and what CRIU left in it, but for a
// log, which tells why.
func unmakeDir(dir string) error {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		if !e.IsDir() && filepath.Ext(e.Name()) != ".log" {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(err, notEmpty(unix.Rmdir(dir)))
}

// notEmpty lets a directory stay that something is in: a log that tells why.
func notEmpty(err error) error {
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func isDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: dir, Err: unix.ENOTDIR}
	}
	return err
}

// job is what both ask of CRIU.
func (q *ImageRequest) job(verb, log string) *criu.Job {
	j := &criu.Job{ImagesDir: q.Images, WorkDir: q.Work}
	j.Request = criu.Request{Verb: verb, Log: log, CgroupMode: q.CgroupMode, Options: q.Options}
	return j
}

// criuConfig is CRIU's configuration file for a container, by the annotation
// that runc and crun look at; "" in it is none.
func criuConfig(annotations map[string]string) string {
	if file, ok := annotations["org.criu.config"]; ok {
		return file
	}
	return "/etc/criu/runc.conf"
}
