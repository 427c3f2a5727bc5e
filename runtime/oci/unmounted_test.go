package oci

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/fixture"
)

// inOwnMounts runs the rest of the test in another process, whose mount
// namespace is its own: what the container mounts must not land on the machine.
func inOwnMounts(t *testing.T) (inside bool) {
	t.Helper()
	return elsewhere(t, &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS})
}

// elsewhere runs the rest of the test in another process.
func elsewhere(t *testing.T, attr *syscall.SysProcAttr) (inside bool) {
	t.Helper()
	fixture.Root(t)
	const mark = "BERTH_OCI_TEST_ELSEWHERE"
	if os.Getenv(mark) != "" {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), mark+"=1")
	cmd.SysProcAttr = attr
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// onMachine is a container without a mount namespace, and with mounts.
func onMachine(t *testing.T, script string) *pod {
	p := newPod(t, script)
	bareOfMounts(p)
	p.spec.Mounts = defaultMounts()
	p.spec.Root.Readonly = true
	p.spec.Linux.Namespaces = without(p.spec.Linux.Namespaces, specs.MountNamespace)
	return p
}

// mountsAt are the machine's mounts at and below a directory.
func mountsAt(t *testing.T, dir string) []string {
	t.Helper()
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var at []string
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); strings.HasPrefix(f[4], dir) {
			at = append(at, f[4]+" "+f[6])
		}
	}
	return at
}

// Without a mount namespace the mounts are made in the runtime's own, below the
// container's root, and go with the container.
func TestMountsOnMachine(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	p := onMachine(t, "touch /x 2>/dev/null || echo read-only; ls -d /proc/self /dev/null; readlink /proc/self/ns/mnt; awk '$7 ~ /shared/' /proc/self/mountinfo")
	// As where systemd runs: all mounts have peers.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	out := p.says()
	if want := "read-only\n/dev/null\n/proc/self\n" + link(t, "/proc/self/ns/mnt") + "\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
	if left := mountsAt(t, p.bundle); len(left) > 0 {
		t.Errorf("left on the machine: %q", left)
	}
	if w := strings.Join(p.warnings, "\n"); !strings.Contains(w, "the machine's, too") {
		t.Errorf("warnings: %q", w)
	}
}

// They stay as long as the container, and are no one else's.
func TestMountsOnMachineStay(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	p := onMachine(t, "true")
	// The root of the bundle is a mount of its owner: that one stays.
	if err := unix.Mount(p.rootfs(""), p.rootfs(""), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	before := mountsAt(t, p.bundle)
	o := newOutput(t)
	p.create(o)
	at := mountsAt(t, p.bundle)
	if len(at) != len(before)+1+len(p.spec.Mounts)+cgroupMounts(at) {
		t.Errorf("with a container: %q", at)
	}
	// Somebody else's mount on top is not ours to take away.
	if err := unix.Mount("tmpfs", p.rootfs(""), "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	wantError(t, p.Delete(t.Context(), p.id, true), "root.path", "unmount")
	if err := unix.Unmount(p.rootfs(""), 0); err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(t.Context(), p.id, true); err != nil {
		t.Error(err)
	}
	if left := mountsAt(t, p.bundle); len(left) != len(before) {
		t.Errorf("left on the machine: %q", left)
	}
	if err := unix.Unmount(p.rootfs(""), 0); err != nil {
		t.Error(err)
	}
}

// cgroupMounts counts what is below the mount of the control groups.
func cgroupMounts(at []string) (n int) {
	for _, line := range at {
		if strings.Contains(line, "/sys/fs/cgroup/") {
			n++
		}
	}
	return n
}

// A creation that fails takes them away, whichever step it was.
func TestMountsOnMachineFail(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	p := onMachine(t, "true")
	p.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/true"}}}
	for _, fail := range createSteps(t) {
		if fail == "born" {
			continue // the parent has nothing to do there
		}
		p.seam = func(step string) error {
			if step == fail {
				return errStep
			}
			return nil
		}
		_, err := p.Create(t.Context(), CreateRequest{ID: p.id, Bundle: p.load(), Stdio: newOutput(t).stdio()})
		if !errors.Is(err, errStep) {
			t.Fatalf("%s: %v", fail, err)
		}
		if left := mountsAt(t, p.bundle); len(left) > 0 {
			t.Errorf("%s: left on the machine: %q", fail, left)
		}
	}
}

func FuzzMountOn(f *testing.F) {
	f.Add("41 1 0:1 / / rw - ext4 x rw\n42 41 0:1 /x /x\\040y rw - ext4 x rw\n", "/x y", uint64(42), uint64(41))
	f.Add("41 1\n\n41", "", uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, info, path string, top, below uint64) {
		lies, on, known := mountOn(info, path, top, below)
		if lies && on != below {
			t.Errorf("%d lies on %d, and that is not %d", top, on, below)
		}
		if known && !strings.Contains(info, " ") {
			t.Errorf("a mount in %q", info)
		}
	})
}
