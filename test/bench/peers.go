package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// daemon starts a program that is ended with SIGTERM when the bench closes.
func (b *bench) daemon(log string, args ...string) error {
	f, err := os.Create(b.path(log))
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		return err
	}
	b.stops = append(b.stops, func() error {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait() // its status says only that we ended it
		return nil
	})
	return nil
}

// await polls until ready or 30 s have passed.
func await(what string, ready func() bool) error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if ready() {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%s does not answer after 30 s", what)
}

// needDocker starts dockerd with everything of its own and loads the image.
func (b *bench) needDocker() error {
	if b.docker != nil {
		return nil
	}
	dockerd, err := find("dockerd", "docker.io")
	if err != nil {
		return err
	}
	cli, err := find("docker", "docker.io")
	if err != nil {
		return err
	}
	socket := "unix://" + b.path("docker.sock")
	err = b.daemon("dockerd.log", dockerd,
		"--data-root", b.path("docker"), "--exec-root", b.path("docker-exec"), "--pidfile", b.path("docker.pid"),
		"-H", socket, "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
		"--bridge=none", "--cgroup-parent", b.group, "--insecure-registry", "127.0.0.0/8")
	if err != nil {
		return err
	}
	docker := command{cli, "-H", socket}
	if err := await("dockerd", func() bool { return docker.with("version").run() == nil }); err != nil {
		return err
	}
	if err := docker.with("import", b.tar, image).run(); err != nil {
		return err
	}
	b.docker = docker
	return nil
}

// needPodman loads the image into a podman of our own directories.
func (b *bench) needPodman() error {
	if b.podman != nil {
		return nil
	}
	exe, err := find("podman", "podman")
	if err != nil {
		return err
	}
	podman := command{
		exe, "--root", b.path("podman"), "--runroot", b.path("podman-run"), "--tmpdir", b.path("podman-tmp"),
		"--cgroup-manager", "cgroupfs", "--storage-driver", "overlay", "--events-backend", "file",
	}
	if err := podman.with("import", b.tar, image).run(); err != nil {
		return err
	}
	b.podman = podman
	return nil
}

// podmanRun is podman run with what it needs on this machine: without
// CAP_SYS_RESOURCE its default limits cannot be set.
func (b *bench) podmanRun() command {
	return b.podman.with("run", "--cgroup-parent", b.group, "--network", "none",
		"--ulimit", "nproc=1000:1000", "--ulimit", "nofile=1000:1000")
}

// needBerth imports the image into a store of our own.
func (b *bench) needBerth() error {
	if b.berth != nil {
		return nil
	}
	exe := filepath.Join(b.Bin, "berth")
	if _, err := os.Stat(exe); err != nil {
		return fmt.Errorf("no %s: make build first", exe)
	}
	berth := command{exe, "--root", b.path("berth"), "--state", "/run/berth-bench"}
	if err := berth.with("import", b.tar, image).run(); err != nil {
		return err
	}
	b.berth = berth
	return nil
}

func (b *bench) berthRun() command {
	return b.berth.with("run", "--cgroup-parent", b.group, "--network", "none")
}

const registryConfig = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}
http: {addr: %q}
`

// needRegistry starts Debian's registry. In a network namespace of our own no
// port is taken.
func (b *bench) needRegistry() error {
	if b.registry != "" {
		return nil
	}
	exe, err := find("docker-registry", "docker-registry")
	if err != nil {
		return err
	}
	const addr = "127.0.0.1:5000"
	text := fmt.Sprintf(registryConfig, b.path("registry"), addr)
	if err := os.WriteFile(b.path("registry.yml"), []byte(text), 0o600); err != nil {
		return err
	}
	if err := b.daemon("registry.log", exe, "serve", b.path("registry.yml")); err != nil {
		return err
	}
	err = await("docker-registry", func() bool {
		resp, err := http.Get("http://" + addr + "/v2/")
		return err == nil && resp.Body.Close() == nil
	})
	if err != nil {
		return err
	}
	b.registry = addr
	return nil
}
