package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/berth-engine/berth/test/apart"
	"github.com/berth-engine/berth/test/engines"
)

// bench is what the rows share: the contenders' commands and the scratch
// directory. Engines are started when the first row asks for them.
type bench struct {
	options
	group  string // parent cgroup for all, /berth-apart-…
	rootfs string // a busybox root file system
	tar    string // the same as a tar file

	docker   command // with its socket; nil until dockerd runs
	podman   command // with its directories; nil until the image is in
	berth    command // with its directories; nil until the image is in
	registry string  // host:port; empty until it runs

	host engines.Host // of the daemons
}

// image is the name of the busybox image in each engine.
const image = "localhost/bench:1"

func newBench(o options) (*bench, error) {
	b := &bench{options: o, group: apart.Group(o.Dir)}
	b.host = engines.Host{Dir: o.Dir, Group: b.group}
	b.rootfs, b.tar = filepath.Join(o.Dir, "rootfs"), filepath.Join(o.Dir, "rootfs.tar")
	if err := makeRootfs(b.rootfs); err != nil {
		return nil, err
	}
	err := command{"tar", "-C", b.rootfs, "--numeric-owner", "-cf", b.tar, "."}.run()
	if err != nil {
		return nil, err
	}
	// The parent of all groups is there before, so that nobody makes and removes
	// it in each turn.
	return b, errors.Join(apart.HideControllers(o.Dir), apart.MakeGroup(b.group))
}

func makeRootfs(dir string) error {
	exe, err := exec.LookPath("busybox")
	if err != nil {
		return errors.New("busybox is not installed: apt-get install busybox-static")
	}
	for _, d := range []string{"bin", "dev", "etc", "proc", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/busybox"), program, 0o755); err != nil {
		return err
	}
	for _, applet := range []string{"true", "sh", "sleep"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", applet)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte("root:x:0:0:root:/:/bin/sh\n"), 0o644)
}

// path is a name in the scratch directory.
func (b *bench) path(name string) string { return filepath.Join(b.Dir, name) }
