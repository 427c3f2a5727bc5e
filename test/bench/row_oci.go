package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"time"

	"github.com/berth-engine/berth/runtime/seccomp"
	"github.com/berth-engine/berth/test/engines"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// measureOCI runs /bin/true by all runtimes from one bundle, first without and
// then with a seccomp profile in it. The first once more in a hurry: what a
// machine that starts one container after the other sees.
func measureOCI(b *bench) ([]result, error) {
	reach := []goal{{"crun", 0.6, "≤ 0.6 × crun"}, {"runc", 0.25, "≤ 0.25 × runc"}}
	compared := []goal{{"crun", 0, "(for comparison)"}, {"runc", 0, "(for comparison)"}}
	var out []result
	for i, part := range []struct {
		what     string
		filtered bool
		pause    time.Duration
		goals    []goal
	}{
		{"no seccomp profile", false, rest, reach},
		{"default seccomp profile", true, rest, reach},
		{"no seccomp profile, no rest between the turns", false, 0, compared},
	} {
		t, absent, err := b.ociTurns("oci"+strconv.Itoa(i), part.filtered, part.pause)
		if err != nil {
			return out, err
		}
		out = append(out, compare(part.what, "berth-oci", t, absent, part.goals)...)
	}
	return out, nil
}

func (b *bench) ociTurns(name string, filtered bool, pause time.Duration) (times, map[string]string, error) {
	bundle, err := b.bundle(name, filtered, "/bin/true")
	if err != nil {
		return nil, nil, err
	}
	cs, absent := present(b.runtimes(func(name string, runtime command) contender {
		cmd := runtime.with("run", "-b", bundle)
		return contender{run: func(turn int) error { return cmd.with(name + strconv.Itoa(turn)).run() }}
	}))
	return takeTurns(b.Rounds, pause, cs, absent), absent, nil
}

// runtimes are berth-oci and its peers, each with its own way to do the work.
// All keep their state below /run, as they do when nobody says where: in the
// bench it is a tmpfs of its own.
func (b *bench) runtimes(do func(name string, runtime command) contender) []side {
	var out []side
	for _, r := range []struct{ name, exe, pkg string }{
		{"berth-oci", filepath.Join(b.Bin, "berth-oci"), "berth"}, {"runc", b.Runc, "runc"}, {"crun", b.Crun, "crun"},
	} {
		out = append(out, side{
			r.name,
			func() error { _, err := engines.Find(r.exe, r.pkg); return err },
			func() contender { return do(r.name, command{r.exe, "--root", "/run/oci-" + r.name}) },
		})
	}
	return out
}

// bundle writes the spec of `berth-oci spec`, changed only to run a program
// without a terminal, in a group of ours, on the busybox root.
func (b *bench) bundle(name string, filtered bool, args ...string) (string, error) {
	dir := b.path("bundle-" + name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "config.json")
	if err := (command{filepath.Join(b.Bin, "berth-oci"), "spec", "-b", dir}).run(); err != nil {
		if err := (command{b.Runc, "spec", "-b", dir}).run(); err != nil {
			return "", fmt.Errorf("no runtime writes a spec: %w", err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var spec specs.Spec
	if err := json.Unmarshal(text, &spec); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	spec.Version = "1.0.2" // the newest that Debian's crun accepts
	spec.Process.Terminal = false
	spec.Process.Args = args
	spec.Root.Path = b.rootfs
	spec.Linux.CgroupsPath = b.group + "/" + name
	if filtered {
		caps := spec.Process.Capabilities.Bounding
		spec.Linux.Seccomp = seccomp.Default(seccomp.Host{Arch: goruntime.GOARCH, Caps: caps, Kernel: [2]int{5, 10}})
	}
	text, err = json.MarshalIndent(spec, "", "\t")
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(file, text, 0o644)
}
