// Package engines starts other people's engines for tests and benchmarks:
// Debian's dockerd, containerd and podman, each with directories and sockets
// of its own.
//
//	h := engines.Host{Dir: scratch, Group: apart.Group(scratch)}
//	defer h.Close()
//	docker, err := h.Docker("--add-runtime", "berth=/path/of/berth-oci")
//	// docker is {"/usr/bin/docker", "-H", "unix://…"}: add arguments and run it
//
// It is for a process that test/apart has put into namespaces of its own:
// nothing here removes bridges, mounts or control groups.
package engines

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Host is where engines run. Group is the parent of the control groups that
// they are asked to make.
type Host struct {
	Dir, Group string

	stops []func()
}

// Close ends all daemons, the last one first.
func (h *Host) Close() {
	for i := len(h.stops) - 1; i >= 0; i-- {
		h.stops[i]()
	}
	h.stops = nil
}

func (h *Host) path(name string) string { return filepath.Join(h.Dir, name) }

// Daemon starts a program that is ended with SIGTERM by Close. Its output goes
// into a file of that name.
func (h *Host) Daemon(log string, args ...string) error {
	f, err := os.Create(h.path(log))
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		return err
	}
	h.stops = append(h.stops, func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait() // its status says only that we ended it
	})
	return nil
}

// Await polls until ready or 30 s have passed.
func Await(what string, ready func() bool) error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if ready() {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%s does not answer after 30 s", what)
}

// Find returns the program, or an error that names its package.
func Find(program, debianPackage string) (string, error) {
	p, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is not installed (apt-get install %s)", program, debianPackage)
	}
	return p, nil
}

// Docker starts dockerd, which starts its containerd, and returns the words
// with which a command line for it begins.
func (h *Host) Docker(flags ...string) ([]string, error) {
	dockerd, err := Find("dockerd", "docker.io")
	if err != nil {
		return nil, err
	}
	cli, err := Find("docker", "docker.io")
	if err != nil {
		return nil, err
	}
	socket := "unix://" + h.path("docker.sock")
	args := append([]string{
		dockerd, "--data-root", h.path("docker"), "--exec-root", h.path("docker-exec"), "--pidfile", h.path("docker.pid"),
		"-H", socket, "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
		"--cgroup-parent", h.Group, "--insecure-registry", "127.0.0.0/8",
	}, flags...)
	if err := h.Daemon("dockerd.log", args...); err != nil {
		return nil, err
	}
	docker := []string{cli, "--config", h.path("docker-config"), "-H", socket}
	err = Await("dockerd", func() bool { return run(append(docker, "version")...) == nil })
	return docker, h.withLog(err, "dockerd.log")
}

// Containerd starts containerd and returns the beginning of a ctr command line.
func (h *Host) Containerd() ([]string, error) {
	daemon, err := Find("containerd", "containerd")
	if err != nil {
		return nil, err
	}
	ctr, err := Find("ctr", "containerd")
	if err != nil {
		return nil, err
	}
	socket := h.path("containerd.sock")
	config := fmt.Sprintf("version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\nroot = %q\nstate = %q\n[grpc]\naddress = %q\n",
		h.path("containerd"), h.path("containerd-run"), socket)
	file := h.path("containerd.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	if err := h.Daemon("containerd.log", daemon, "--config", file); err != nil {
		return nil, err
	}
	cmd := []string{ctr, "--address", socket}
	err = Await("containerd", func() bool { return run(append(cmd, "version")...) == nil })
	return cmd, h.withLog(err, "containerd.log")
}

// Podman returns the beginning of a podman command line with directories of
// our own. There is nothing to start.
func (h *Host) Podman(flags ...string) ([]string, error) {
	exe, err := Find("podman", "podman")
	if err != nil {
		return nil, err
	}
	return append([]string{
		exe, "--root", h.path("podman"), "--runroot", h.path("podman-run"), "--tmpdir", h.path("podman-tmp"),
		"--cgroup-manager", "cgroupfs", "--storage-driver", "overlay", "--events-backend", "file",
	}, flags...), nil
}

// withLog adds the end of a daemon's log to an error.
func (h *Host) withLog(err error, log string) error {
	if err == nil {
		return nil
	}
	const most = 4096
	text, rerr := os.ReadFile(h.path(log))
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return errors.Join(fmt.Errorf("%w; its log:\n%s", err, strings.TrimSpace(string(text))), rerr)
}

func run(args ...string) error { return exec.Command(args[0], args[1:]...).Run() }
