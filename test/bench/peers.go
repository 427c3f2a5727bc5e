package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/berth-engine/berth/test/engines"
)

// needDocker starts dockerd with everything of its own and loads the image.
func (b *bench) needDocker() error {
	if b.docker != nil {
		return nil
	}
	words, err := b.host.Docker("--bridge=none")
	if err != nil {
		return err
	}
	docker := command(words)
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
	words, err := b.host.Podman()
	if err != nil {
		return err
	}
	podman := command(words)
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
	exe, err := engines.Find("docker-registry", "docker-registry")
	if err != nil {
		return err
	}
	const addr = "127.0.0.1:5000"
	text := fmt.Sprintf(registryConfig, b.path("registry"), addr)
	if err := os.WriteFile(b.path("registry.yml"), []byte(text), 0o600); err != nil {
		return err
	}
	if err := b.host.Daemon("registry.log", exe, "serve", b.path("registry.yml")); err != nil {
		return err
	}
	err = engines.Await("docker-registry", func() bool {
		resp, err := http.Get("http://" + addr + "/v2/")
		return err == nil && resp.Body.Close() == nil
	})
	if err != nil {
		return err
	}
	b.registry = addr
	return nil
}
