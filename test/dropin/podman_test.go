package dropin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/fixture"
)

// podman is a podman whose run and create have the flags that this machine
// needs: without CAP_SYS_RESOURCE its default limits cannot be set.
type podmanEngine struct{ *engine }

func usePodman(t *testing.T) podmanEngine {
	t.Helper()
	return podmanEngine{use(t, "podman", podman, func(e *engine, tar string) {
		e.want(0, "", "import", "-c", "ENV PATH=/bin", tar, image)
	})}
}

var limits = []string{"--ulimit", "nproc=1000:1000", "--ulimit", "nofile=1000:1000"}

// flags are what every container here is made with.
func flags() []string {
	return append([]string{"--cgroup-parent", host.Group}, limits...)
}

func (e podmanEngine) rm(code int, part, script string, more ...string) string {
	e.t.Helper()
	args := append([]string{"run", "--rm", "--network", "none"}, flags()...)
	return e.want(code, part, append(append(args, more...), image, "sh", "-c", script)...)
}

func (e podmanEngine) detached(name string, args ...string) {
	e.t.Helper()
	e.later("rm", "-f", "-t", "0", name)
	run := append([]string{"run", "-d", "--name", name, "--network", "none"}, flags()...)
	e.want(0, "", append(run, args...)...)
}

func TestPodmanRun(t *testing.T) {
	e := usePodman(t)
	e.want(0, runtime(t), "info", "--format", "{{.Host.OCIRuntime.Path}}")
	e.want(0, "berth-oci version", "info", "--format", "{{.Host.OCIRuntime.Version}}")
	e.rm(0, "out\n", "echo out")
	e.rm(7, "", "exit 7")
	e.rm(0, "harbour\n", "hostname", "--hostname", "harbour")
	e.rm(0, "uid=1000(sailor)", "id", "--user", "sailor")
	e.rm(0, "CapEff", "grep CapEff:.*ffffff$ /proc/self/status", "--privileged")
	e.rm(0, "CapEff:\t0000000000000000", "grep CapEff /proc/self/status", "--cap-drop", "all")
	e.rm(1, "Read-only file system", "touch /x", "--read-only")
	e.rm(0, "", "touch /tmp/x", "--read-only")
	e.rm(0, "NoNewPrivs:\t1", "grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges")
	e.rm(0, "1234", "cat /proc/sys/net/core/somaxconn", "--sysctl", "net.core.somaxconn=1234")
	e.rm(0, "0022", "umask")
	e.rm(0, "0077", "umask", "--umask", "0077")
	e.want(127, "executable file not found", append(append([]string{"run", "--rm"}, flags()...), image, "nope")...)
	e.want(126, "permission denied", append(append([]string{"run", "--rm"}, flags()...), image, "/etc/passwd")...)
	dir := t.TempDir()
	e.rm(0, "", "echo text >/v/file", "-v", dir+":/v")
	if got, err := os.ReadFile(filepath.Join(dir, "file")); string(got) != "text\n" {
		t.Errorf("volume: %q %v", got, err)
	}
}

func TestPodmanTerminal(t *testing.T) {
	e := usePodman(t)
	args := append([]string{"run", "--rm", "-it", "--name", "tty", "--network", "none"}, flags()...)
	p := fixture.Pty(t, e.command(append(args, image, "sh")...))
	p.Expect("/ # ")
	p.Send("stty size; tty\n")
	p.Expect("24 80")
	p.Expect("/dev/pts/0")
	q := fixture.Pty(t, e.command("exec", "-it", "tty", "sh", "-c", "stty size; read a; echo got $a"))
	q.Expect("24 80")
	q.Send("word\n")
	q.Expect("got word")
	if code := q.Wait(); code != 0 {
		t.Errorf("exec -it: status %d", code)
	}
	p.Send("exit 5\n")
	if code := p.Wait(); code != 5 {
		t.Errorf("run -it: status %d", code)
	}
}

func TestPodmanExec(t *testing.T) {
	e := usePodman(t)
	e.detached("execs", "-e", "A=b", "--memory", "64m", "--pids-limit", "50", image, "sleep", "1000")
	e.want(0, "A=b", "exec", "execs", "env")
	e.want(3, "", "exec", "execs", "sh", "-c", "exit 3")
	e.want(0, "uid=1000", "exec", "-u", "1000", "execs", "id")
	e.want(0, "/tmp", "exec", "-w", "/tmp", "execs", "pwd")
	e.want(0, "CapEff", "exec", "--privileged", "execs", "grep", "CapEff:.*ffffff$", "/proc/self/status")
	e.want(127, "executable file not found", "exec", "execs", "nope")
	e.want(126, "permission denied", "exec", "execs", "/etc/passwd")
	e.want(0, "", "exec", "-d", "execs", "sleep", "999")
	e.until("sleep 999", "exec", "execs", "ps")
	e.want(0, "sleep", "top", "execs")
	e.want(0, "67.11MB", "stats", "--no-stream", "--no-reset", "execs")
	e.want(0, "", "pause", "execs")
	e.want(0, "paused", "inspect", "-f", "{{.State.Status}}", "execs")
	e.want(0, "", "unpause", "execs")
	e.want(0, "", "kill", "-s", "KILL", "execs")
	e.want(0, "137", "wait", "execs")
	e.want(0, "", "start", "execs")
	e.want(0, "", "stop", "-t", "0", "execs")
	e.want(0, "", "restart", "-t", "0", "execs")
}

func TestPodmanHealth(t *testing.T) {
	e := usePodman(t)
	e.detached("healthy", "--health-cmd", "test -e /tmp/ok", "--health-interval", "disable", image, "sleep", "1000")
	e.want(1, "unhealthy", "healthcheck", "run", "healthy")
	e.want(0, "", "exec", "healthy", "touch", "/tmp/ok")
	e.want(0, "", "healthcheck", "run", "healthy")
}

// TestPodmanPod: the containers of a pod join the namespaces of its first one.
func TestPodmanPod(t *testing.T) {
	e := usePodman(t)
	e.later("pod", "rm", "-f", "-t", "0", "fleet")
	e.want(0, "", "pod", "create", "--name", "fleet", "--infra-image", image, "--infra-command", "sleep 1000",
		"--share", "net,ipc,uts,pid", "--network", "none", "--hostname", "fleet", "--cgroup-parent", host.Group)
	run := func(args ...string) []string {
		return append(append([]string{"run", "--pod", "fleet"}, limits...), args...)
	}
	e.want(0, "", run("-d", "--name", "server", image, "sh", "-c", "touch /dev/shm/mark; echo hello | nc -l -p 8080; sleep 1000")...)
	e.want(0, "fleet\n", run("--rm", image, "hostname")...)
	e.until("/dev/shm/mark", run("--rm", image, "ls", "/dev/shm/mark")...)
	e.until("hello", run("--rm", image, "sh", "-c", "nc 127.0.0.1 8080 </dev/null")...)
	e.want(0, "sleep 1000", run("--rm", image, "ps")...)
	e.want(0, "", "pod", "pause", "fleet")
	e.want(0, "", "pod", "unpause", "fleet")
	e.want(0, "Running", "pod", "inspect", "-f", "{{.State}}", "fleet")
	e.want(0, "", "pod", "stop", "-t", "0", "fleet")
}

// TestPodmanUsernsAuto: every container gets a range of ids of its own.
func TestPodmanUsernsAuto(t *testing.T) {
	e := usePodman(t)
	for _, name := range []string{"/etc/subuid", "/etc/subgid"} { // in our mount namespace only
		mine := filepath.Join(t.TempDir(), "sub")
		if err := os.WriteFile(mine, []byte("containers:1000000:1000000\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(mine, name, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(name, 0); err != nil {
				t.Error(err)
			}
		})
	}
	var seen []string
	for _, name := range []string{"first", "second"} {
		e.detached(name, "--userns=auto:size=4096", image, "sleep", "1000")
		m := strings.Fields(e.want(0, "", "exec", name, "cat", "/proc/self/uid_map"))
		if len(m) != 3 || m[0] != "0" || m[2] != "4096" {
			t.Fatalf("uid_map %q", m)
		}
		seen = append(seen, m[1])
		e.want(0, "0:0", "exec", name, "stat", "-c", "%u:%g", "/etc/passwd")
	}
	if seen[0] == seen[1] || seen[0] == "0" {
		t.Errorf("ranges begin at %q", seen)
	}
	e.rm(0, "0          1          1", "cat /proc/self/uid_map", "--uidmap", "0:1:1", "--gidmap", "0:1:1")
}
