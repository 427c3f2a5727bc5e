package engine

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/under"
	"github.com/berth-engine/berth/snapshot"
)

// RemoveRequest asks for a container's end.
type RemoveRequest struct {
	Name  string
	Force bool // kill it if it runs
}

// Remove deletes a container: run directory, writable tree, logs, record.
// Every step may be done already; who is killed in between is finished by the
// next rm, since the record goes last.
func (c *Containers) Remove(ctx context.Context, q RemoveRequest) error {
	rec, err := c.findDamaged(q.Name)
	if err != nil {
		return err
	}
	s, err := c.truth(ctx, rec.ID)
	if err != nil && !q.Force {
		return err
	}
	ended := false
	if alive(s.State) {
		if !q.Force {
			_, err := container.Next(s.State, container.Remove)
			return fault.New(fault.Conflict, "cannot remove container %q: %w", "/"+rec.Name, err)
		}
		removal, err := c.killForRemoval(ctx, rec)
		switch {
		case errors.Is(err, fault.Unavailable):
			if err := c.giveUpMonitor(ctx, rec.ID); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			ended = rec.Request.Remove && removal != monitor.Nobodys // it may be started again meanwhile
		}
	}
	return c.remove(ctx, rec, ended)
}

// giveUpMonitor ends a container whose monitor lives and does not answer: the
// runtime kills what is in its groups, we the monitor, and the record says so.
func (c *Containers) giveUpMonitor(ctx context.Context, id string) error {
	if err := c.removeRuntime(ctx, id); err != nil {
		return err
	}
	path := mustRecords(c).StatusFile(id)
	s, err := container.ReadStatus(path)
	if err != nil || !alive(s.State) {
		return err
	}
	if s.MonitorAlive() {
		if err := syscall.Kill(s.MonitorPid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fault.Op("kill the monitor of", id, err)
		}
	}
	s.State, s.Pid, s.MonitorPid = container.Exited, 0, 0
	s.Exit = &container.ExitStatus{Code: 137, Signal: int(syscall.SIGKILL), Unknown: true, Cause: "the monitor did not answer"}
	s.FinishedAt = time.Now()
	return container.WriteStatus(path, s, false)
}

// findDamaged also finds a container whose record cannot be read, by full id.
func (c *Containers) findDamaged(name string) (*container.Container, error) {
	rec, err := c.Find(name)
	if err != nil && errors.Is(err, fault.Damaged) && container.ValidID(name) {
		return &container.Container{ID: name, Snapshot: name}, nil
	}
	return rec, err
}

// killForRemoval ends a container and waits until its monitor has recorded it.
func (c *Containers) killForRemoval(ctx context.Context, rec *container.Container) (monitor.Removal, error) {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, killPatience)
	defer cancel()
	removal, err := c.kill9(ctx, rec)
	if ctx.Err() != nil && whole.Err() == nil {
		return removal, fault.New(fault.Unavailable, "container %s did not end %v after SIGKILL", rec.Name, killPatience)
	}
	return removal, err
}

func (c *Containers) kill9(ctx context.Context, rec *container.Container) (monitor.Removal, error) {
	conn, err := c.running(ctx, rec)
	if errors.Is(err, fault.NotRunning) {
		return monitor.Others, nil
	}
	if err != nil {
		return monitor.Others, err
	}
	defer conn.Close()
	if err := conn.StopRestarting(ctx); err != nil && !errors.Is(err, fault.NotRunning) && !errors.Is(err, fault.Unavailable) {
		return monitor.Others, err
	}
	if err := conn.SignalAll(ctx, syscall.SIGKILL); err != nil && !errors.Is(err, fault.NotRunning) && !errors.Is(err, fault.Unavailable) {
		return monitor.Others, err
	}
	// With --rm this client takes the removal over, so that it is done when we return.
	if _, removal, err := conn.Reap(ctx, func() {}); err == nil {
		return removal, nil
	}
	_, err = c.await(ctx, rec)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fault.NotRunning) {
		return monitor.Others, nil
	}
	return monitor.Others, err
}

// killPatience is how long a payload may take to die of SIGKILL.
const killPatience = 10 * time.Second

// Reap removes a --rm container that has ended; monitors have it called when
// no client is there to do it.
func (c *Containers) Reap(ctx context.Context, id string) error {
	if !container.ValidID(id) {
		return fault.New(fault.Invalid, "reap: %q is no full id", id)
	}
	// The last container may be gone, and the engine's directory with it: to
	// look for a record there would make it again.
	if _, err := os.Stat(c.cfg.Root); errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "no such container: %s", id)
	}
	rec, err := c.findDamaged(id)
	if err != nil {
		return err
	}
	if !rec.Request.Remove {
		return fault.New(fault.Conflict, "container %s was not made with --rm", id)
	}
	// The monitor that calls us may still be on its way out.
	s, err := container.ReadStatus(mustRecords(c).StatusFile(id))
	if err == nil && alive(s.State) {
		return fault.New(fault.Conflict, "container %s is running", id)
	}
	return c.remove(ctx, rec, false)
}

func mustRecords(c *Containers) *container.Store {
	records, _ := c.records() // findDamaged has opened it
	return records
}

// finish removes a --rm container after its end. When another client was first
// to offer the removal, ours waits for the container's lock and finds nothing.
func (c *Containers) finish(ctx context.Context, rec *container.Container) error {
	err := c.remove(context.WithoutCancel(ctx), rec, true)
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// remove deletes all of a container. With ended the caller knows from its
// monitor that it has ended for good, which the record may not say yet.
func (c *Containers) remove(ctx context.Context, rec *container.Container, ended bool) error {
	records, err := c.records()
	if err != nil {
		return err
	}
	lock, err := c.lock(records, rec)
	if err != nil {
		return err
	}
	defer lock.Close()
	if !ended { // somebody may have started it while we waited
		if s, err := c.truth(ctx, rec.ID); err == nil && alive(s.State) {
			return fault.New(fault.Conflict, "container %s was started again", rec.Name)
		}
	}
	if err := c.cfg.Fail("remove run directory"); err != nil {
		return err
	}
	if err := c.removeRuntime(ctx, rec.ID); err != nil {
		return err
	}
	if err := c.removeRunDir(rec.ID); err != nil {
		return err
	}
	if err := c.cfg.Fail("remove snapshot"); err != nil {
		return err
	}
	if err := c.removeTree(rec.Snapshot); err != nil {
		return err
	}
	if err := c.cfg.Fail("remove record"); err != nil {
		return err
	}
	return records.RemoveLocked(rec.ID)
}

// removeRuntime has the runtime forget a container whose monitor was killed
// before it could: its state, its control groups, what still runs in them.
func (r *rooms) removeRuntime(ctx context.Context, id string) error {
	root := r.runtimeRoot()
	if _, err := os.Lstat(filepath.Join(root, id)); err != nil {
		return nil
	}
	exe, err := r.runtime()
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, exe, "--root", root, "delete", "--force", id).CombinedOutput()
	if err != nil {
		return fault.Op("delete the runtime's state", string(bytes.TrimSpace(out)), err)
	}
	return nil
}

func (r *rooms) removeRunDir(id string) error {
	dir := r.runDir(id)
	if err := unmountShm(dir); err != nil {
		return err
	}
	return under.RemoveTree(dir)
}

func (r *rooms) removeTree(key string) error {
	if key == "" {
		return nil
	}
	trees, err := r.trees()
	if err != nil {
		return err
	}
	err = trees.Remove(snapshot.Key(key))
	if errors.Is(err, fault.NotFound) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
