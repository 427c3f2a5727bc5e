package dropin

import (
	"os"
	"strings"
	"testing"

	"github.com/berth-engine/berth/test/fixture"
)

// useCtr is containerd's ctr. It knows images only as archives of others, so
// ours is a directory.
func useCtr(t *testing.T) (e *engine, rootfs string) {
	t.Helper()
	e = use(t, "containerd", containerd, func(*engine, string) {})
	return e, fixture.Busybox(t)
}

// ctrRun is the command line of `ctr run` with berth-oci.
func ctrRun(t *testing.T, rootfs, id string, flags []string, args ...string) []string {
	run := append([]string{"run", "--runc-binary", runtime(t), "--rootfs", "--cgroup", host.Group + "/" + id}, flags...)
	return append(append(run, rootfs, id), args...)
}

func TestCtrRun(t *testing.T) {
	e, rootfs := useCtr(t)
	run := func(flags []string, args ...string) []string {
		return ctrRun(t, rootfs, "once", append([]string{"--rm"}, flags...), args...)
	}
	e.want(0, "out\n", run(nil, "echo", "out")...)
	e.want(7, "", run(nil, "sh", "-c", "exit 7")...)
	e.want(0, "CapEff", run([]string{"--privileged"}, "grep", "CapEff:.*ffffff$", "/proc/self/status")...)
	e.want(0, "Seccomp:\t2", run([]string{"--seccomp"}, "grep", "Seccomp:", "/proc/self/status")...)
	e.want(1, "executable file not found", run(nil, "nope")...)
	p := fixture.Pty(t, e.command(run([]string{"-t"}, "sh", "-c", "until stty size | grep 24; do :; done; read a; echo got $a")...))
	p.Expect("24 80")
	p.Send("word\n")
	p.Expect("got word")
	if code := p.Wait(); code != 0 {
		t.Errorf("run -t: status %d", code)
	}
}

// limitOf reads a group's memory limit, of either version of cgroups.
func limitOf(id string) string {
	for _, file := range []string{"memory" + host.Group + "/" + id + "/memory.limit_in_bytes", host.Group[1:] + "/" + id + "/memory.max"} {
		if text, err := os.ReadFile("/sys/fs/cgroup/" + file); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	return ""
}

func TestCtrTask(t *testing.T) {
	e, rootfs := useCtr(t)
	e.want(0, "", ctrRun(t, rootfs, "task", []string{"-d", "--memory-limit", "67108864"}, "sleep", "1000")...)
	t.Cleanup(func() {
		e.background("task", "rm", "-f", "task")
		e.background("container", "rm", "task")
	})
	e.want(0, "RUNNING", "task", "ls")
	if got := limitOf("task"); got != "67108864" {
		t.Errorf("memory limit %q", got)
	}
	e.want(0, "in\n", "task", "exec", "--exec-id", "e1", "task", "echo", "in")
	e.want(3, "", "task", "exec", "--exec-id", "e2", "task", "sh", "-c", "exit 3")
	e.want(1, "executable file not found", "task", "exec", "--exec-id", "e3", "task", "nope")
	p := fixture.Pty(t, e.command("task", "exec", "-t", "--exec-id", "e4", "task", "sh", "-c", "until stty size | grep 24; do :; done; tty; read a"))
	p.Expect("24 80")
	p.Expect("/dev/pts/0")
	p.Send("\n") // ctr may lose what a process says that is gone at once
	p.Wait()
	e.want(0, "PID", "task", "ps", "task")
	e.want(0, "", "task", "pause", "task")
	e.want(0, "PAUSED", "task", "ls")
	e.want(0, "", "task", "resume", "task")
	e.want(0, "RUNNING", "task", "ls")
	e.want(0, "pids", "task", "metrics", "--format", "json", "task")
	e.want(0, "", "task", "kill", "-s", "SIGKILL", "task")
	e.until("STOPPED", "task", "ls")
}
