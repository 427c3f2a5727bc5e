package launch

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/runtime/plan"
)

// testSpec is a small container around a busybox root.
func testSpec(args ...string) *specs.Spec {
	caps := []string{"CAP_CHOWN", "CAP_KILL", "CAP_SETUID"}
	return &specs.Spec{
		Process: &specs.Process{
			Args: args, Cwd: "/", Env: []string{"PATH=/bin"},
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
			Rlimits:      []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 256, Hard: 256}},
		},
		Root:     &specs.Root{Path: "rootfs", Readonly: true},
		Hostname: "testhost",
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace},
				{Type: specs.NetworkNamespace},
				{Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace},
				{Type: specs.MountNamespace},
			},
			MaskedPaths:   []string{"/proc/interrupts", "/sys/firmware", "/proc/no-such-file"},
			ReadonlyPaths: []string{"/proc/sys", "/proc/bus"},
		},
	}
}

// busybox makes a root file system with busybox only.
func busybox(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes namespaces and mounts")
	}
	data, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("needs Debian's busybox-static: ", err)
	}
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "bin/busybox"), data, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sh", "true", "cat", "ls", "id", "mount", "ps", "sleep"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// result is what a finished container left.
type result struct {
	out    string
	status unix.WaitStatus
}

// run starts s and waits for its end.
func run(t *testing.T, s *specs.Spec, root string) (result, error) {
	t.Helper()
	p, err := plan.Compile(s, nil, plan.Facts{RootPath: root, LastCap: 40, Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	return runPlan(t, p)
}

func runPlan(t *testing.T, p *plan.Plan) (result, error) {
	t.Helper()
	pr, err := Assemble(p)
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	child, err := Start(t.Context(), pr, Options{Files: []*os.File{null, w, w}})
	w.Close()
	if err != nil {
		return result{}, err
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(child.Pid, &ws, 0, nil); err != nil {
		t.Fatal(err)
	}
	child.Pidfd.Close()
	return result{string(out), ws}, nil
}

func TestRunContainer(t *testing.T) {
	root := busybox(t)
	for _, tt := range []struct{ name, script, want string }{
		{"pid 1", "echo $$", "1\n"},
		{"host name", "cat /proc/sys/kernel/hostname", "testhost\n"},
		{"read-only root", "(echo >/x) 2>/dev/null || echo refused", "refused\n"},
		{"masked file", "cat /proc/interrupts | wc -c", "0\n"},
		{"masked directory", "ls /sys/firmware | wc -l", "0\n"},
		{"read-only sysctl", "echo 1 2>/dev/null >/proc/sys/kernel/printk || echo refused", "refused\n"},
		{"descriptors", "ls /proc/self/fd", "0\n1\n2\n3\n"},
		{"limit", "ulimit -n", "256\n"},
		{"bounding set", "grep CapBnd /proc/self/status", "CapBnd:\t00000000000000a1\n"},
		{"loopback", "cat /sys/class/net/lo/operstate; ls /sys/class/net", "unknown\nlo\n"},
		{"null", "echo x >/dev/null && ls -l /dev/null | cut -c1-10", "crw-rw-rw-\n"},
		{"old root is gone", "ls / | tr '\\n' ' '", "bin dev proc sys "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := testSpec("sh", "-c", strings.ReplaceAll(tt.script, "grep ", "busybox grep "))
			s.Process.Args[2] = strings.NewReplacer("| wc", "| busybox wc", "| tr", "| busybox tr", "| cut", "| busybox cut").Replace(s.Process.Args[2])
			got, err := run(t, s, root)
			if err != nil {
				t.Fatal(err)
			}
			if got.out != tt.want {
				t.Errorf("printed %q, want %q", got.out, tt.want)
			}
		})
	}
}

func TestExitStatus(t *testing.T) {
	root := busybox(t)
	got, err := run(t, testSpec("sh", "-c", "exit 42"), root)
	if err != nil || got.status.ExitStatus() != 42 {
		t.Errorf("got %v %v, want exit status 42", got.status, err)
	}
}

func TestStepErrors(t *testing.T) {
	root := busybox(t)
	for _, tt := range []struct {
		name   string
		change func(*specs.Spec)
		errno  syscall.Errno
		text   string
	}{
		{"no program", func(s *specs.Spec) { s.Process.Args = []string{"nosuch"} }, unix.ENOENT, "find nosuch"},
		{"not executable", func(s *specs.Spec) { s.Process.Args = []string{"/bin/../proc/self/status"} }, unix.EACCES, "find /bin/../proc/self/status"},
		{"bad mount", func(s *specs.Spec) { s.Mounts[1].Type = "nosuchfs" }, unix.ENODEV, "nosuchfs (nosuid,strictatime) on /dev"},
		{"bad option", func(s *specs.Spec) { s.Mounts[1].Options = []string{"size=lots"} }, unix.EINVAL, "tmpfs on /dev"},
		{"directory", func(s *specs.Spec) { s.Process.Args = []string{"/bin"} }, unix.EACCES, "/bin"},
		{"no working directory", func(s *specs.Spec) { s.Process.Cwd = "/bin/sh/x" }, unix.ENOTDIR, "go to /bin/sh/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := testSpec("true")
			tt.change(s)
			_, err := run(t, s, root)
			var step *StepError
			if !errors.As(err, &step) || !errors.Is(err, tt.errno) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v at %q", err, tt.errno, tt.text)
			}
		})
	}
}
