package oci

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/test/fixture"
)

var namespaceFiles = []struct {
	kind specs.LinuxNamespaceType
	file string
}{
	{specs.PIDNamespace, "pid"},
	{specs.NetworkNamespace, "net"},
	{specs.MountNamespace, "mnt"},
	{specs.IPCNamespace, "ipc"},
	{specs.UTSNamespace, "uts"},
	{specs.UserNamespace, "user"},
	{specs.CgroupNamespace, "cgroup"},
	{specs.TimeNamespace, "time"},
}

// holder is a process in namespaces of its own, all eight of them.
func holder(t *testing.T) int {
	t.Helper()
	fixture.Root(t)
	ready := filepath.Join(t.TempDir(), "ready")
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--net", "--mount", "--ipc", "--uts", "--cgroup", "--time", "--pid", "--fork", "--kill-child",
		"sh", "-c", "mount -t proc proc /proc; echo > "+ready+"; exec sleep 1000")
	if err := os.Chmod(filepath.Dir(ready), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(ready)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip("needs unshare:", err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var child int
	poll(t, "the namespaces", func() bool {
		if _, err := os.Stat(ready); err != nil {
			return false
		}
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		if err != nil {
			return false
		}
		_, err = fmt.Sscan(string(data), &child)
		return err == nil
	})
	return child
}

// Each of the eight namespaces can be made, joined by its path, or left out.
func TestNamespaces(t *testing.T) {
	pid := holder(t)
	for _, ns := range namespaceFiles {
		t.Run(string(ns.kind), func(t *testing.T) {
			theirs := link(t, fmt.Sprintf("/proc/%d/ns/%s", pid, ns.file))
			ours := link(t, "/proc/self/ns/"+ns.file)
			for _, how := range []string{"made", "joined", "left out"} {
				p := newPod(t, "readlink /proc/self/ns/"+ns.file)
				n := specs.LinuxNamespace{Type: ns.kind}
				p.spec.Linux.Namespaces = without(p.spec.Linux.Namespaces, ns.kind)
				switch {
				case how == "made" && ns.kind == specs.UserNamespace:
					mapped(p)
				case how == "made":
					p.spec.Linux.Namespaces = append(p.spec.Linux.Namespaces, n)
				case how == "joined":
					if ns.kind == specs.UserNamespace {
						p.spec.Mounts[2].Options = nil // devpts: gid 5 is not mapped there
					}
					n.Path = fmt.Sprintf("/proc/%d/ns/%s", pid, ns.file)
					p.spec.Linux.Namespaces = append(p.spec.Linux.Namespaces, n)
				}
				if ns.kind == specs.UTSNamespace && how == "left out" {
					p.spec.Hostname = ""
				}
				if ns.kind == specs.MountNamespace && how == "left out" {
					bareOfMounts(p)
					p.spec.Process.Args[2] = "ls -d /proc/self /bin 2>/dev/null; pwd"
					if got := p.says(); got != "/bin\n/\n" {
						t.Errorf("left out: %q", got)
					}
					continue
				}
				got := strings.TrimSpace(p.says())
				if (got == ours) != (how == "left out") || (got == theirs) != (how == "joined") {
					t.Errorf("%s: %s; ours is %s, theirs %s", how, got, ours, theirs)
				}
			}
		})
	}
}

// bareOfMounts leaves what a container in the machine's mount namespace can have.
func bareOfMounts(p *pod) {
	p.spec.Mounts, p.spec.Linux.MaskedPaths, p.spec.Linux.ReadonlyPaths = nil, nil, nil
	p.spec.Root.Readonly = false
}

func TestOwnMountNamespaceByPath(t *testing.T) {
	p := newPod(t, "true")
	p.spec.Linux.Namespaces = append(without(p.spec.Linux.Namespaces, specs.MountNamespace), specs.LinuxNamespace{Type: specs.MountNamespace, Path: "/proc/self/ns/mnt"})
	_, _, err := p.run()
	wantError(t, err, "linux.namespaces[5].path", "leave it out")
}

// What would change a namespace of the machine is refused, even where it is
// joined by its path.
func TestOwnNamespaceByPath(t *testing.T) {
	for _, tt := range []struct {
		kind specs.LinuxNamespaceType
		file string
		edit func(*pod)
		want string
	}{
		{specs.NetworkNamespace, "net", func(p *pod) { p.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"} }, "linux.sysctl"},
		{specs.UTSNamespace, "uts", func(*pod) {}, "hostname"},
		{specs.IPCNamespace, "ipc", func(p *pod) { p.spec.Linux.Sysctl = map[string]string{"kernel.msgmax": "9000"} }, "linux.sysctl"},
	} {
		p := newPod(t, "true")
		p.spec.Linux.Namespaces = append(without(p.spec.Linux.Namespaces, tt.kind), specs.LinuxNamespace{Type: tt.kind, Path: "/proc/self/ns/" + tt.file})
		tt.edit(p)
		_, _, err := p.run()
		wantError(t, err, tt.want, "of its own")
	}
}
