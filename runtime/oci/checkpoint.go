package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/internal/under"
	"github.com/berth-engine/berth/runtime/criu"
)

// CheckpointRequest asks for a container to be written to files.
type CheckpointRequest struct {
	ImageRequest
	PreDump bool   // memory only, for a later checkpoint with this one as its Parent
	Parent  string // an earlier image, relative to Images
	Address string // of the page server, with its Port; "" writes pages to Images
	Port    int
	// Ready hears a zero byte when a checkpoint with lazy pages serves them, at
	// Address. It is closed then.
	Ready *os.File
}

// dump is a checkpoint in the making.
type dump struct {
	r    *Runtime
	req  *CheckpointRequest
	st   *State
	spec *specs.Spec
	job  *criu.Job
	// external says that a standard stream is a file of the machine's.
	external bool
}

// Checkpoint has CRIU write a running or paused container to files. Unless it
// is to go on, the container is deleted then. When Checkpoint fails the
// container goes on as before.
//
// When ctx ends there is the container or the checkpoint, never neither. One
// with lazy pages waits for those who fetch them no longer than that.
func (r *Runtime) Checkpoint(ctx context.Context, req CheckpointRequest) (err error) {
	d := &dump{r: r, req: &req}
	if err := d.look(); err != nil {
		return err
	}
	undo := cleanup.New()
	defer func() { err = errors.Join(err, undo.Run()) }()
	_, missing := os.Stat(req.Images)
	if err := req.dirs(true, undo); err != nil {
		return err
	}
	if missing != nil {
		if err := letSearch(req.Images, d.spec); err != nil {
			return err
		}
	}
	if err := d.prepare(undo); err != nil {
		return err
	}
	if err := d.job.Run(ctx); err != nil {
		return fault.Op("checkpoint", req.ID, err)
	}
	undo.Release()
	if d.external {
		// Without it the same files must be there for a restore, no others.
		r.warn(fault.Op("standard streams of", req.ID, criu.FreeStreams(req.Images)))
	}
	if req.LeaveRunning || req.PreDump {
		return nil
	}
	return r.Delete(ctx, req.ID, true)
}

// look refuses what cannot be done, before anything is.
func (d *dump) look() (err error) {
	if d.st, err = d.r.State(d.req.ID); err != nil {
		return err
	}
	if d.st.Status != specs.StateRunning && d.st.Status != StatePaused {
		return fault.New(fault.NotRunning, "container cannot be checkpointed in %s state", d.st.Status)
	}
	if d.spec, err = readSpec(d.r.config(d.req.ID)); err != nil {
		return err
	}
	if d.req.LazyPages && d.req.Address == "" {
		return fault.New(fault.Invalid, "--lazy-pages: give --page-server ADDRESS:PORT, where the memory is to be fetched")
	}
	if err := d.req.keepable(d.st.Bundle, d.spec); err != nil {
		return fault.Op("checkpoint", d.req.ID, err)
	}
	if err := checkParent(d.req.Images, d.req.Parent); err != nil {
		return err
	}
	return fault.Op("checkpoint", "", criu.Installed())
}

// keepable refuses containers of which a restore could not make the same.
func (q *ImageRequest) keepable(bundle string, s *specs.Spec) error {
	if _, err := os.Lstat(filepath.Join(bundle, RootfsFile)); err == nil {
		return fault.New(fault.Unsupported, "its root is mounted by itself (%s), which CRIU cannot restore", RootfsFile)
	}
	if s.Linux.IntelRdt != nil {
		return fault.New(fault.Unsupported, "it has linux.intelRdt, whose group a restore does not enter")
	}
	if makesNamespace(s, specs.PIDNamespace) && !hasNamespace(s, specs.MountNamespace) {
		return fault.New(fault.Unsupported, "it has a PID namespace and shares the machine's mounts: CRIU would find no /proc of its own")
	}
	if q.CgroupMode == "ignore" && makesNamespace(s, specs.CgroupNamespace) {
		return fault.New(fault.Unsupported, "--manage-cgroups-mode ignore: its cgroup namespace would not come back; leave the option out")
	}
	f := foreignOf(s, true)
	if at := f.unkept(); at != "" {
		return fault.New(fault.Unsupported, "the mount on %s maps owners, which CRIU does not keep", at)
	}
	return nil
}

// checkParent: as with runc, --parent-path is relative to the images.
func checkParent(images, parent string) error {
	if parent == "" {
		return nil
	}
	if filepath.IsAbs(parent) {
		return fault.New(fault.Invalid, "--parent-path must be relative")
	}
	dir := filepath.Join(images, parent)
	if err := isDir(dir); err != nil {
		return fault.New(fault.Invalid, "invalid --parent-path: %w", err)
	}
	return nil
}

// prepare fills in the request.
func (d *dump) prepare(undo *cleanup.Stack) error {
	verb := criu.Dump
	if d.req.PreDump {
		verb = criu.PreDump
	}
	d.job = d.req.job(verb, "dump.log")
	j, s := d.job, d.st
	j.Pid, j.Root, j.Parent = s.Pid, s.Rootfs, d.req.Parent
	j.Address, j.Port = d.req.Address, d.req.Port
	j.Config = criuConfig(d.spec.Annotations)
	j.Freeze = freezer(s.Cgroups)
	j.EmptyNet = makesNamespace(d.spec, specs.NetworkNamespace)
	j.At = d.at
	if err := d.namespaces(); err != nil {
		return err
	}
	if d.req.PreDump {
		return nil
	}
	return d.files(undo)
}

// freezer is the group by which CRIU stops processes; where there is none it
// stops them one by one.
func freezer(groups map[string]string) string {
	if dir := groups["freezer"]; dir != "" {
		return dir
	}
	dir := groups[""]
	if _, err := os.Lstat(filepath.Join(dir, "cgroup.freeze")); dir == "" || err != nil {
		return ""
	}
	return dir
}

// kept are the namespaces that CRIU leaves alone when they were joined, and
// the words that it and runc have for them.
var kept = map[specs.LinuxNamespaceType][2]string{
	specs.NetworkNamespace: {"net", "extRootNetNS"},
	specs.PIDNamespace:     {"pid", "extRootPidNS"},
}

func (d *dump) namespaces() error {
	for _, n := range d.spec.Linux.Namespaces {
		word, ok := kept[n.Type]
		if !ok || n.Path == "" {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(n.Path, &st); err != nil {
			return &fs.PathError{Op: "stat", Path: n.Path, Err: err}
		}
		d.job.External = append(d.job.External, fmt.Sprintf("%s[%d]:%s", word[0], st.Ino, word[1]))
	}
	return nil
}

// files names what the container has of the machine: mounts and its standard
// streams.
func (d *dump) files(undo *cleanup.Stack) error {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(d.st.Pid) + "/mountinfo")
	if err != nil {
		return err
	}
	points := mount.Points(string(text))
	root, err := under.OpenRoot(rootOf(d.st))
	if err != nil {
		return err
	}
	defer root.Close()
	f := foreignOf(d.spec, unifiedOnly(d.st.Cgroups))
	d.job.External = append(d.job.External, f.dumped(points, func(dst string) int { return mountIn(root, dst) })...)
	streams, err := steadyStreams(d.st.Pid, func(id int) bool {
		for _, p := range points {
			if p.ID == id {
				return true
			}
		}
		return false
	})
	if err != nil {
		return err
	}
	keys := externalStreams(streams)
	d.external = len(keys) > 0
	d.job.External = append(d.job.External, keys...)
	undo.Add(func() error { return notEmpty(unix.Unlink(filepath.Join(d.req.Images, descriptorsFile))) })
	return writeDescriptors(d.req.Images, streams)
}

// unifiedOnly says whether groups are of a machine without a v1 hierarchy.
func unifiedOnly(groups map[string]string) bool {
	for name := range groups {
		if name != "" {
			return false
		}
	}
	return true
}

// mountIn is the number of the mount that a path of a container leads to.
func mountIn(root *under.Root, name string) int {
	f, err := root.Open(name, unix.O_PATH, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	id, err := mountID("/proc/self/fdinfo/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return 0
	}
	return id
}

// at does our part while CRIU waits.
func (d *dump) at(e criu.Event, with *os.File) error {
	if with != nil {
		with.Close()
	}
	if e.Step != criu.StatusReady || d.req.Ready == nil {
		return nil
	}
	_, err := d.req.Ready.Write([]byte{0})
	return fault.Op("status descriptor", "", errors.Join(err, d.req.Ready.Close()))
}
