package engine

import (
	"bytes"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/bundle"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/snapshot"
)

// RootfsFile is the file beside config.json with the mounts that make the
// root file system, a list of mount.Mount, upper first.
const RootfsFile = "rootfs.json"

// parts is a bundle before it is written.
type parts struct {
	dir      string // containers/ID/bundle
	durable  bool
	spec     *specs.Spec
	rootfs   []mount.Mount // nil: the spec's root is used as it is
	monitor  monitor.Config
	files    map[string]string // path -> content, mounted below /etc
	makeDirs []string          // missing sources of -v
	warnings []string
}

func configOf(img *image.Image) *ocispec.Image {
	if img == nil {
		return nil
	}
	return &img.Config
}

// filesDir is where a container's bundle and its files for /etc lie: beside
// its record, or with --rm, when nobody wants them after a restart of the
// machine, in its run directory, which is in memory.
func (r *rooms) filesDir(records *container.Store, id string, remove bool) string {
	if remove {
		return r.runDir(id)
	}
	return records.Dir(id)
}

const bundleName = "bundle"

// bundleDir is that of a container of which only the id is known.
func (r *rooms) bundleDir(records *container.Store, id string) string {
	dir := filepath.Join(r.runDir(id), bundleName)
	if _, err := os.Lstat(dir); err == nil {
		return dir
	}
	return filepath.Join(records.Dir(id), bundleName)
}

// plan decides what the bundle of rec will say. It reads the machine and
// writes nothing of the container's.
func (r *rooms) plan(rec *container.Container, img *image.Image, detached bool) (*parts, error) {
	if err := r.cfg.Fail("plan"); err != nil {
		return nil, err
	}
	records, err := r.records()
	if err != nil {
		return nil, err
	}
	b := &parts{dir: filepath.Join(r.filesDir(records, rec.ID, rec.Request.Remove), bundleName), durable: !rec.Request.Remove, files: map[string]string{}}
	if rec.Snapshot != "" {
		trees, err := r.trees()
		if err != nil {
			return nil, err
		}
		if err := r.makeFloor(); err != nil {
			return nil, err
		}
		mounts := trees.Mounts
		if rec.Request.Remove {
			mounts = trees.MountsVolatile
		}
		if b.rootfs, err = mounts(snapshot.Key(rec.Snapshot), r.floor()); err != nil {
			return nil, err
		}
	}
	return b, r.fill(b, rec, img, detached)
}

// fill completes a plan whose root file system is known.
func (r *rooms) fill(b *parts, rec *container.Container, img *image.Image, detached bool) error {
	h, err := r.facts(b, rec, img)
	if err != nil {
		return err
	}
	if b.spec, err = bundle.Spec(&rec.Request, configOf(img), h); err != nil {
		return err
	}
	b.makeDirs = missingSources(&rec.Request)
	b.monitor, err = r.monitorConfig(b, rec, img, detached)
	return err
}

// missingSources are the host directories that -v makes.
func missingSources(r *container.Request) []string {
	var dirs []string
	for _, m := range r.Mounts {
		if m.Type == "bind" && m.MakeSource {
			if _, err := os.Stat(m.Source); os.IsNotExist(err) {
				dirs = append(dirs, m.Source)
			}
		}
	}
	return dirs
}

func (r *rooms) monitorConfig(b *parts, rec *container.Container, img *image.Image, detached bool) (monitor.Config, error) {
	records, err := r.records()
	if err != nil {
		return monitor.Config{}, err
	}
	q := &rec.Request
	m := monitor.Config{
		ID: rec.ID, Bundle: b.dir, RunDir: r.runDir(rec.ID),
		StatusFile: records.StatusFile(rec.ID), LogFile: r.logFile(records, rec),
		LogMaxSize: q.Log.MaxSize, LogMaxFile: q.Log.MaxFile,
		TTY: q.TTY, OpenStdin: q.OpenStdin, StdinOnce: q.OpenStdin && !detached,
		PIDFile: q.PIDFile, Restart: q.Restart, Remove: q.Remove,
		RuntimeRoot: r.runtimeRoot(),
	}
	if m.LogMaxSize == 0 {
		m.LogMaxSize = 10 << 20
	}
	if m.LogMaxFile == 0 {
		m.LogMaxFile = 5
	}
	if m.StopSignal, err = bundle.StopSignal(q, configOf(img)); err != nil {
		return m, err
	}
	if q.Remove {
		self, err := r.self()
		if err != nil {
			return m, fault.Op("engine.create", rec.ID, err)
		}
		m.Reaper = []string{self, "--root", r.cfg.Root, "--state", r.cfg.State, "reap", rec.ID}
	}
	return m, nil
}

// logFile is "" for the driver none.
func (r *rooms) logFile(records *container.Store, rec *container.Container) string {
	if rec.Request.Log.Driver == "none" {
		return ""
	}
	return filepath.Join(records.Dir(rec.ID), "container.log")
}

// write puts a planned bundle on disk. What it makes lies below the record's
// directory or the run directory and goes with them; missing sources of -v are
// the user's and stay.
func (r *rooms) write(b *parts) error {
	if err := r.cfg.Fail("bundle"); err != nil {
		return err
	}
	if err := r.makeOwn(filepath.Dir(b.dir)); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(b.dir, "rootfs"), 0o700); err != nil {
		return err
	}
	for path, text := range b.files {
		if err := writePublic(path, []byte(text)); err != nil {
			return err
		}
	}
	for _, dir := range b.makeDirs {
		if err := makePublic(dir); err != nil {
			return fault.Op("make the source of -v", "", err)
		}
	}
	if b.rootfs != nil {
		if err := b.json(RootfsFile, b.rootfs); err != nil {
			return err
		}
	}
	text, err := specText(b.spec)
	if err != nil {
		return fault.Op("encode", "config.json", err)
	}
	if err := b.put("config.json", text); err != nil {
		return err
	}
	if err := r.cfg.Fail("monitor config"); err != nil {
		return err
	}
	// last: a bundle is whole when this file is there
	return b.json(monitor.ConfigFile, b.monitor)
}

func (b *parts) json(name string, v any) error {
	data, err := jsontext.Marshal(v)
	if err != nil {
		return fault.Op("encode", name, err)
	}
	return b.put(name, data)
}

func (b *parts) put(name string, data []byte) error {
	path := filepath.Join(b.dir, name)
	if b.durable {
		return disk.WriteDurable(path, data, 0o600)
	}
	return disk.Write(path, data, 0o600)
}

// specText encodes a specification. A profile's list of flags that is there
// and empty says something, and its type leaves it out.
func specText(s *specs.Spec) ([]byte, error) {
	text, err := jsontext.Marshal(s)
	if err != nil || s.Linux == nil || s.Linux.Seccomp == nil || s.Linux.Seccomp.Flags == nil || len(s.Linux.Seccomp.Flags) > 0 {
		return text, err
	}
	// Within a string the quotes would have backslashes, and no other field
	// of this name has an object.
	const profile = `"seccomp":{`
	return bytes.Replace(text, []byte(profile), []byte(profile+`"flags":[],`), 1), nil
}
