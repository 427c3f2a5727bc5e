package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// bench is what the rows share: the contenders' commands and the scratch
// directory. Engines are started when the first row asks for them.
type bench struct {
	options
	group  string // parent cgroup for all, /berth-bench-…
	rootfs string // a busybox root file system
	tar    string // the same as a tar file

	docker   command // with its socket; nil until dockerd runs
	podman   command // with its directories; nil until the image is in
	berth    command // with its directories; nil until the image is in
	registry string  // host:port; empty until it runs

	stops []func() error
}

// image is the name of the busybox image in each engine.
const image = "localhost/bench:1"

func newBench(o options) (*bench, error) {
	b := &bench{options: o, group: "/" + cgroupName(o.Dir)}
	b.rootfs, b.tar = filepath.Join(o.Dir, "rootfs"), filepath.Join(o.Dir, "rootfs.tar")
	if err := makeRootfs(b.rootfs); err != nil {
		return nil, err
	}
	err := command{"tar", "-C", b.rootfs, "--numeric-owner", "-cf", b.tar, "."}.run()
	if err != nil {
		return nil, err
	}
	return b, b.freeHugetlb()
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

// freeHugetlb takes the hugetlb controller away from a hybrid tree's unified
// part for as long as we run: crun refuses such a tree while it has one.
func (b *bench) freeHugetlb() error {
	text, err := os.ReadFile("/sys/fs/cgroup/unified/cgroup.controllers")
	if err != nil || !strings.Contains(string(text), "hugetlb") {
		return nil //nolint:nilerr // not a hybrid tree: nothing to free
	}
	dir := filepath.Join(b.Dir, "hugetlb")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("none", dir, "cgroup", 0, "hugetlb"); err != nil {
		return fmt.Errorf("mount hugetlb as v1 for crun: %w", err)
	}
	b.stops = append(b.stops, func() error {
		// Its groups keep a hierarchy alive after the unmount.
		err := command{"find", dir, "-mindepth", "1", "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"}.run()
		return errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH))
	})
	return nil
}

func (b *bench) close() {
	for i := len(b.stops) - 1; i >= 0; i-- {
		if err := b.stops[i](); err != nil {
			fmt.Fprintln(os.Stderr, "bench: tidy up:", err)
		}
	}
}

// path is a name in the scratch directory.
func (b *bench) path(name string) string { return filepath.Join(b.Dir, name) }

// find returns the program, or an error that names its package.
func find(program, debianPackage string) (string, error) {
	p, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is not installed (apt-get install %s)", program, debianPackage)
	}
	return p, nil
}
