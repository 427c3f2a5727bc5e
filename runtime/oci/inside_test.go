package oci

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestMaskedAndReadonly(t *testing.T) {
	p := newPod(t, `
		exec 2>/dev/null
		cat /hidden-file | wc -c
		ls -A /sys/firmware /hidden | grep -v :
		echo 1 > /proc/sys/kernel/domainname 2>/dev/null || echo refused
		echo 1 > /ro/file 2>/dev/null || echo refused
		echo 1 > /hidden/file 2>/dev/null || echo refused`)
	for _, d := range []string{"hidden", "ro"} {
		if err := os.Mkdir(p.rootfs(d), 0o755); err != nil {
			t.Fatal(err)
		}
		p.write(d+"/secret", "secret", 0o644)
	}
	p.spec.Linux.MaskedPaths = append(p.spec.Linux.MaskedPaths, "/hidden", "/no/such/path", "/hidden", "/hidden-file")
	p.write("hidden-file", "secret", 0o644)
	p.spec.Linux.ReadonlyPaths = append(p.spec.Linux.ReadonlyPaths, "/ro", "/no/such/path")
	if got := strings.Fields(p.says()); strings.Join(got, " ") != "0 refused refused refused" {
		t.Errorf("%q", got)
	}
}

func TestReadonlyRoot(t *testing.T) {
	p := newPod(t, "touch /x 2>/dev/null || echo refused; touch /dev/shm/x && echo fine")
	p.spec.Root.Readonly = true
	if got := p.says(); got != "refused\nfine\n" {
		t.Errorf("%q", got)
	}
}

func TestMemoryLimit(t *testing.T) {
	p := newPod(t, "echo begin; head -c 200m /dev/zero | tail -c 190m | wc -c; echo $?")
	p.spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr(int64(24 << 20)), Swap: ptr(int64(24 << 20))}
	o := newOutput(t)
	proc := p.create(o)
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	if _, err := proc.Wait(); err != nil {
		t.Fatal(err)
	}
	m, err := p.Cgroup(p.id)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := m.OOMKills(); n == 0 || err != nil {
		t.Errorf("%d memory kills, %v; output %q", n, err, o.text())
	}
}

// A limit that the set-up does not fit in is named.
func TestMemoryTooSmall(t *testing.T) {
	p := newPod(t, "true")
	p.spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr(int64(4096))}
	_, _, err := p.run()
	wantError(t, err, "linux.resources.memory.limit is too small")
}

func TestPidsLimit(t *testing.T) {
	p := newPod(t, "i=0; while [ $i -lt 20 ]; do sleep 1000 & i=$((i+1)); done; echo all")
	p.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(5))}
	out, code, err := p.run()
	if code == 0 || err != nil || strings.Contains(out, "all") {
		t.Errorf("%q %d %v", out, code, err)
	}
}

func TestDevicesAreConfined(t *testing.T) {
	p := newPod(t, `mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem > /dev/null 2>&1 || echo refused
		head -c 2 /dev/zero | wc -c; echo x > /dev/null && echo fine`)
	caps := append(p.spec.Process.Capabilities.Bounding, "CAP_MKNOD")
	p.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
	if got := strings.Fields(p.says()); strings.Join(got, " ") != "refused 2 fine" {
		t.Errorf("%q", got)
	}
}

// mapped gives the pod a user namespace in which 0 is the host's 100000.
func mapped(p *pod) {
	m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	p.spec.Linux.UIDMappings, p.spec.Linux.GIDMappings = m, m
	p.spec.Linux.Namespaces = append(p.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	// The directory of the test is for root only: the container's root is not.
	for dir := p.bundle; dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			p.t.Fatal(err)
		}
	}
	// And its root directory is its own, as engines make it.
	if err := os.Chown(p.rootfs(""), 100000, 100000); err != nil {
		p.t.Fatal(err)
	}
}

func TestUserNamespace(t *testing.T) {
	p := newPod(t, `exec 2>/dev/null; id -u; cat /proc/self/uid_map; cat /proc/self/gid_map | wc -l; echo x > /dev/null && echo null
		hostname; touch /tmp/file; echo x > /proc/sys/kernel/hostname 2> /dev/null || echo confined; sleep 1000`)
	p.spec.Linux.Namespaces = append([]specs.LinuxNamespace{}, p.spec.Linux.Namespaces...)
	mapped(p)
	o := newOutput(t)
	proc := p.create(o)
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	poll(t, "the payload", func() bool { _, err := os.Stat(p.rootfs("tmp/file")); return err == nil })
	var st unix.Stat_t
	if err := unix.Stat(p.rootfs("tmp/file"), &st); err != nil || st.Uid != 100000 || st.Gid != 100000 {
		t.Errorf("its file belongs to %d:%d %v", st.Uid, st.Gid, err)
	}
	if err := unix.Stat("/proc/"+strconv.Itoa(proc.Pid), &st); err != nil || st.Uid != 100000 {
		t.Errorf("its process belongs to %d %v", st.Uid, err)
	}
	prog := p.program("sh", "-c", "id -u; id -g; readlink /proc/self/ns/user")
	prog.User = specs.User{UID: 1000, GID: 1000}
	out, code, err := p.exec(prog)
	want := "1000\n1000\n" + link(t, fmt.Sprintf("/proc/%d/ns/user", proc.Pid)) + "\n"
	if out != want || code != 0 || err != nil {
		t.Errorf("exec: %q %d %v, want %q", out, code, err, want)
	}
	if err := p.Delete(t.Context(), p.id, true); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(o.text()), " ")
	if text != "0 0 100000 65536 1 null berth confined" {
		t.Errorf("%q", text)
	}
}

func TestUserNamespaceConsole(t *testing.T) {
	p := newPod(t, "stat -c %u:%g $(tty) /dev/console; tty")
	mapped(p)
	p.spec.Process.Terminal = true
	proc := p.create(newOutput(t))
	defer proc.Console.Close()
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	talk(t, proc.Console, "0:5\r\n0:5\r\n/dev/pts/0\r\n")
}

func TestTimeNamespace(t *testing.T) {
	for _, userns := range []bool{false, true} {
		p := newPod(t, "cut -d. -f1 /proc/uptime; cat /proc/self/timens_offsets | tr -s ' ' | tr '\n' ' '")
		p.spec.Linux.Namespaces = append(p.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		p.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 1337, Nanosecs: 7}, "boottime": {Secs: 7_000_000}}
		if userns {
			mapped(p)
		}
		out := p.says()
		up, rest, _ := strings.Cut(out, "\n")
		n, err := strconv.Atoi(up)
		if err != nil || n < 7_000_000 {
			t.Errorf("user namespace %t: uptime %q", userns, up)
		}
		if got := strings.Join(strings.Fields(rest), " "); got != "monotonic 1337 7 boottime 7000000 0" {
			t.Errorf("user namespace %t: offsets %q", userns, got)
		}
	}
	p := newPod(t, "readlink /proc/self/ns/time")
	p.spec.Linux.Namespaces = append(p.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
	if out := p.says(); strings.TrimSpace(out) == link(t, "/proc/self/ns/time") {
		t.Error("without offsets: it is the host's")
	}
}

func TestJoinByPath(t *testing.T) {
	first := running(t)
	s, err := first.State(first.id)
	if err != nil {
		t.Fatal(err)
	}
	p := newPod(t, "cd /proc/self/ns; readlink net; readlink ipc; readlink pid; readlink uts; ps -o comm | grep -c '^sleep$'; hostname")
	for i := range p.spec.Linux.Namespaces {
		n := &p.spec.Linux.Namespaces[i]
		file := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.PIDNamespace: "pid", specs.UTSNamespace: "uts"}[n.Type]
		if file != "" {
			n.Path = fmt.Sprintf("/proc/%d/ns/%s", s.Pid, file)
		}
	}
	p.spec.Hostname = "renamed"
	var want strings.Builder
	for _, n := range []string{"net", "ipc", "pid", "uts"} {
		fmt.Fprintln(&want, link(t, fmt.Sprintf("/proc/%d/ns/%s", s.Pid, n)))
	}
	want.WriteString("1\nrenamed\n")
	if got := p.says(); got != want.String() {
		t.Errorf("%q, want %q", got, want.String())
	}
}

func TestJoinErrors(t *testing.T) {
	p := newPod(t, "true")
	p.spec.Linux.Namespaces[1].Path = "/proc/self/ns/no-such"
	_, _, err := p.run()
	wantError(t, err, "/proc/self/ns/no-such", "no such file")
	for _, path := range []string{"/proc/self/ns/ipc", "/dev/null"} {
		p.spec.Linux.Namespaces[1].Path = path
		_, _, err = p.run()
		wantError(t, err, "linux.namespaces[1].path: "+path+" is no network namespace")
	}
}

// Between create and start the container holds no descriptor of the machine.
func TestCreatedHoldsNothing(t *testing.T) {
	p := newPod(t, "true")
	o := newOutput(t)
	proc := p.create(o)
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", proc.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", proc.Pid, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case to == "/dev/null", strings.HasPrefix(to, "pipe:"), strings.HasPrefix(to, "socket:"), to == p.startFile(p.id):
		default:
			t.Errorf("descriptor %s is %s", e.Name(), to)
		}
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", proc.Pid))
	if err == nil && strings.Contains(string(env), "GO") {
		t.Errorf("it shows the environment of its creator: %q", env)
	}
}
