package dropin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-engine/berth/test/fixture"
)

func useDocker(t *testing.T) *engine {
	t.Helper()
	return use(t, "dockerd", docker, func(e *engine, tar string) {
		e.want(0, "sha256:", "import", "--change", "ENV PATH=/bin", tar, image)
	})
}

// detached starts a container and removes it when the test ends.
func (e *engine) detached(name string, args ...string) {
	e.t.Helper()
	e.later("rm", "-f", name)
	e.want(0, "", append([]string{"run", "-d", "--name", name}, args...)...)
}

// rm is `run --rm` of a shell script; flags are docker's.
func (e *engine) rm(code int, part, script string, flags ...string) string {
	e.t.Helper()
	args := append([]string{"run", "--rm"}, flags...)
	return e.want(code, part, append(args, image, "sh", "-c", script)...)
}

func TestDockerRun(t *testing.T) {
	e := useDocker(t)
	e.want(0, "berth", "info", "--format", "{{.DefaultRuntime}}")
	e.rm(0, "out\n", "echo out")
	e.rm(0, "out\n", "echo out", "--runtime", "berth")
	e.rm(7, "", "exit 7")
	e.rm(137, "", "kill -9 $$; sleep 9", "--init")
	e.rm(0, "harbour\n", "hostname", "--hostname", "harbour")
	e.rm(0, "A=b", "env", "-e", "A=b")
	e.rm(0, "uid=1000(sailor) gid=1000(sailor) groups=1000(sailor),2000(crew)", "id", "--user", "sailor", "--group-add", "crew")
	e.rm(0, "/tmp\n", "pwd", "-w", "/tmp")
	e.rm(0, "1 /sbin/docker-init", "ps -o pid,args", "--init")
	e.rm(1, "Read-only file system", "touch /x", "--read-only")
	e.rm(0, "size=1024k", "grep ' /t ' /proc/mounts", "--tmpfs", "/t:size=1m")
	e.rm(0, "1234\n", "cat /proc/sys/net/core/somaxconn", "--sysctl", "net.core.somaxconn=1234")
	e.rm(0, "77\n", "ulimit -n", "--ulimit", "nofile=77:77")
	e.rm(0, "", "dd if=/dev/net/tun of=/dev/null count=0", "--device", "/dev/net/tun")
	e.rm(0, "shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=2048k", "grep shm /proc/mounts", "--shm-size", "2m")
	e.rm(0, "NoNewPrivs:\t1\n", "grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges")
	e.rm(0, "eth0", "ip addr")
	e.rm(0, "inet 127.0.0.1/8", "ip addr", "--network", "none")
	dir := t.TempDir()
	e.rm(0, "", "echo text >/v/file", "-v", dir+":/v")
	if got, err := os.ReadFile(filepath.Join(dir, "file")); string(got) != "text\n" {
		t.Errorf("volume: %q %v", got, err)
	}
	e.rm(1, "Read-only file system", "echo text >/v/file", "-v", dir+":/v:ro")
	e.want(127, "executable file not found", "run", "--rm", image, "nope")
	e.want(127, "no such file or directory", "run", "--rm", image, "/no/pe")
	e.want(126, "permission denied", "run", "--rm", image, "/etc/passwd")
}

func TestDockerRunStdin(t *testing.T) {
	e := useDocker(t)
	cmd := e.command("run", "--rm", "-i", image, "wc", "-c")
	cmd.Stdin = strings.NewReader(strings.Repeat("x", 1<<20))
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "1048576" {
		t.Errorf("a megabyte on stdin: %v %s", err, out)
	}
}

func TestDockerTerminal(t *testing.T) {
	e := useDocker(t)
	p := fixture.Pty(t, e.command("run", "--rm", "-it", "--name", "tty", image, "sh"))
	p.Expect("/ # ")
	p.Send("tty; until stty size | grep 24; do :; done\n") // docker gives it its size when the shell runs already
	p.Expect("/dev/pts/0")
	p.Expect("24 80")
	p.Expect("/ # ")
	resized := func() bool { // docker listens for SIGWINCH only after it has given the first size
		p.Resize(25, 90)
		p.Resize(30, 100)
		out, _ := e.run("exec", "tty", "sh", "-c", "stty size </dev/pts/0")
		return strings.Contains(out, "30 100")
	}
	for end := time.Now().Add(20 * time.Second); !resized(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the container's terminal does not follow docker's")
		}
	}
	q := fixture.Pty(t, e.command("exec", "-it", "tty", "sh", "-c", "tty; until stty size | grep 24; do :; done; read a; echo got $a"))
	q.Expect("/dev/pts/1")
	q.Expect("24 80")
	q.Send("word\n")
	q.Expect("got word")
	if code := q.Wait(); code != 0 {
		t.Errorf("exec -it: status %d", code)
	}
	p.Send("trap 'echo cau''ght' INT; sleep 100\n")
	p.SendUntil("\x03", "caught")
	p.Send("exit 5\n")
	if code := p.Wait(); code != 5 {
		t.Errorf("run -it: status %d", code)
	}
}

func TestDockerExec(t *testing.T) {
	e := useDocker(t)
	e.detached("execs", "-e", "A=b", image, "sleep", "1000")
	e.want(0, "A=b", "exec", "execs", "env")
	e.want(0, "C=d", "exec", "-e", "C=d", "execs", "env")
	e.want(3, "", "exec", "execs", "sh", "-c", "exit 3")
	e.want(0, "uid=1000", "exec", "-u", "1000", "execs", "id")
	e.want(0, "/tmp", "exec", "-w", "/tmp", "execs", "pwd")
	e.want(0, "CapEff", "exec", "--privileged", "execs", "grep", "CapEff:.*ffffff$", "/proc/self/status")
	e.want(126, "executable file not found", "exec", "execs", "nope")
	e.want(126, "permission denied", "exec", "execs", "/etc/passwd")
	e.want(0, "", "exec", "-d", "execs", "sleep", "999")
	e.until("sleep 999", "top", "execs")
	e.want(0, "sleep 1000", "exec", "execs", "ps")
	cmd := e.command("exec", "-i", "execs", "cat")
	cmd.Stdin = strings.NewReader("through")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "through" {
		t.Errorf("exec -i: %v %s", err, out)
	}
}

func TestDockerStop(t *testing.T) {
	e := useDocker(t)
	e.detached("stops", image, "sh", "-c", "trap 'exit 9' TERM; trap 'echo usr1' USR1; echo up; while :; do sleep 0.1; done")
	e.until("up", "logs", "stops")
	e.want(0, "", "kill", "-s", "USR1", "stops")
	e.until("usr1", "logs", "stops")
	e.want(0, "", "stop", "stops")
	e.want(0, "exited 9", "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "stops")
	e.want(0, "", "start", "stops")
	e.want(0, "running", "inspect", "-f", "{{.State.Status}}", "stops")
	e.want(0, "", "restart", "-t", "1", "stops")
	e.want(0, "", "kill", "stops")
	e.want(0, "137", "wait", "stops")

	e.detached("stubborn", image, "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done")
	e.until("up", "logs", "stubborn")
	e.want(0, "", "stop", "-t", "1", "stubborn")
	e.want(0, "exited 137", "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "stubborn")
}

func TestDockerUpdate(t *testing.T) {
	e := useDocker(t)
	const limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true"
	const pids = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true"
	e.detached("limits", "-m", "64m", "--cpus", "0.5", "--pids-limit", "20", image, "sleep", "1000")
	e.want(0, "67108864", "exec", "limits", "sh", "-c", limit)
	e.want(0, "", "update", "--memory", "96m", "--memory-swap", "96m", "limits")
	e.want(0, "100663296", "exec", "limits", "sh", "-c", limit)
	e.want(0, "20\n", "exec", "limits", "sh", "-c", pids)
	e.want(2, "can't fork", "exec", "limits", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21; do sleep 5 & done; wait")
	e.want(0, "", "update", "--pids-limit", "33", "--cpus", "1", "limits")
	e.want(0, "33\n", "exec", "limits", "sh", "-c", pids)
	e.want(0, "96MiB", "stats", "--no-stream", "limits")
}

func TestDockerMemoryKill(t *testing.T) {
	e := useDocker(t)
	// The shim begins to watch for it when the payload runs already: that one takes its time.
	e.detached("hungry", "-m", "8m", "--memory-swap", "8m", image, "sh", "-c", "sleep 1; dd if=/dev/zero of=/dev/null bs=64M count=1")
	e.want(0, "137", "wait", "hungry")
	e.want(0, "true 137", "inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "hungry")
}

func TestDockerPause(t *testing.T) {
	e := useDocker(t)
	e.detached("still", image, "sleep", "1000")
	e.want(0, "", "pause", "still")
	e.want(0, "paused", "inspect", "-f", "{{.State.Status}}", "still")
	e.want(1, "is paused", "exec", "still", "true")
	e.want(0, "", "unpause", "still")
	e.want(0, "", "exec", "still", "true")
	e.want(0, "", "pause", "still") // and removed as it is
}

func TestDockerRights(t *testing.T) {
	e := useDocker(t)
	e.rm(0, "CapEff:\t0000000000000000\n", "grep CapEff /proc/self/status", "--cap-drop", "ALL")
	e.rm(0, "CapEff:\t0000000000000400\n", "grep CapEff /proc/self/status", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE")
	e.rm(1, "Operation not permitted", "chown 1:1 /etc/passwd", "--cap-drop", "CHOWN")
	e.rm(0, "Seccomp:\t2\n", "grep Seccomp: /proc/self/status")
	e.rm(0, "Seccomp:\t0\n", "grep Seccomp: /proc/self/status", "--security-opt", "seccomp=unconfined")
	e.rm(1, "", "mount -t tmpfs t /tmp")

	e.rm(0, "CapEff", "grep CapEff:.*ffffff$ /proc/self/status", "--privileged")
	e.rm(0, "t /tmp tmpfs rw", "mount -t tmpfs t /tmp && grep /tmp /proc/mounts", "--privileged")
	e.rm(0, "", "echo 1234 >/proc/sys/net/core/somaxconn", "--privileged")
	e.rm(0, "/dev/kmsg", "ls /dev/kmsg", "--privileged")

	profile := filepath.Join(t.TempDir(), "profile.json")
	text := `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":5}]}`
	if err := os.WriteFile(profile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e.rm(1, "Input/output error", "mkdir /x", "--security-opt", "seccomp="+profile)
}

func TestDockerHealth(t *testing.T) {
	e := useDocker(t)
	e.detached("healthy", "--health-cmd", "test -e /tmp/ok", "--health-interval", "100ms", "--health-retries", "2", image, "sleep", "1000")
	status := []string{"inspect", "-f", "{{.State.Health.Status}}", "healthy"}
	e.until("unhealthy", status...)
	e.want(0, "", "exec", "healthy", "touch", "/tmp/ok")
	e.until("healthy\n", append([]string{"inspect", "-f", "is {{.State.Health.Status}}"}, "healthy")...)
}

func TestDockerShared(t *testing.T) {
	e := useDocker(t)
	e.detached("base", "--hostname", "base", "--ipc", "shareable", image, "sleep", "1000")
	e.rm(0, "sleep 1000", "ps", "--pid", "container:base")
	e.rm(0, "base\n", "hostname", "--network", "container:base")
	e.rm(0, "", "true", "--ipc", "container:base")
	e.rm(0, "dockerd", "ps", "--pid", "host")
	e.rm(0, "", "true", "--network", "host", "--uts", "host", "--ipc", "host")
	e.rm(0, "", "true", "--cgroupns", "private")
	e.rm(0, "", "true", "--cgroupns", "host")
}

// TestDockerBuild uses the builder that runs its steps by the default runtime.
func TestDockerBuild(t *testing.T) {
	e := useDocker(t)
	dir := t.TempDir()
	text := "FROM " + image + "\nRUN mkdir /made && echo of a build >/made/file\nCMD [\"cat\", \"/made/file\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := e.command("build", "-t", "localhost/built", dir)
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	e.want(0, "of a build\n", "run", "--rm", "localhost/built")
}
