package cgroup

import (
	"context"
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

func (g *group) Remove(ctx context.Context) error {
	const op = "cgroup.remove"
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u := g.findUnit()
	var errs []error
	for i := range g.trees {
		t := &g.trees[i]
		if err := g.removeTree(ctx, t); err != nil {
			errs = append(errs, fault.Op(op, t.path, err))
			continue
		}
		if parent := filepath.Dir(t.path); parent != t.top {
			g.removeParents(parent)
		}
	}
	if u != nil && len(errs) == 0 {
		errs = append(errs, fault.Op(op, g.name(), u.stop()))
	}
	return errors.Join(errs...)
}

// removeTree removes one directory and those below it. The kernel says EBUSY
// while a process is on its way out, or somebody makes a group below.
func (g *group) removeTree(ctx context.Context, t *tree) error {
	pause := newPause()
	for {
		err := g.rmdir(t.path)
		if errors.Is(err, unix.EBUSY) {
			err = walk(t.path, g.rmdir)
		}
		if err == nil || !errors.Is(err, unix.EBUSY) {
			return err
		}
		if ctx.Err() == nil && pause.wait(ctx) == nil {
			continue
		}
		pids, perr := g.pidsIn(t)
		if perr == nil && len(pids) > 0 {
			return fault.New(fault.Conflict, "%d processes are still in it: %w", len(pids), err)
		}
		return fault.As(fault.Conflict, err)
	}
}

// rmdir removes one group; one that is gone already counts as removed.
func (g *group) rmdir(path string) error {
	if err := g.seam.fail("rmdir", path); err != nil {
		return err
	}
	_, err := kernel.Retry(func() (int, error) { return 0, unix.Rmdir(path) })
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// removeParents removes what Create made above the container, from the bottom
// up, until a directory is not berth's or somebody else is in it.
func (g *group) removeParents(path string) {
	var value [1]byte
	for ; path != "/"; path = filepath.Dir(path) {
		if n, err := unix.Getxattr(path, mark, value[:]); err != nil || n == 0 {
			return
		}
		if unix.Rmdir(path) != nil {
			return
		}
	}
}

// gone reports whether err says that the group does not exist any more: its
// path is not there, or an open file of it has lost its group.
func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) }
