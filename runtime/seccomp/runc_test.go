package seccomp

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-engine/berth/test/libseccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestRuncInstallsTheSame starts containers by runc and reads from the kernel
// which filters they run under: libseccomp's with the piece that runc puts in
// front. So what newer calls get must agree as well.
func TestRuncInstallsTheSame(t *testing.T) {
	l := library(t)
	runc, busybox := needRunc(t)
	for _, s := range corpus(t) {
		if !startsUnder(s) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			c := compare(t, l, s)
			c.theirProg = nil
			for _, in := range runcFilter(t, runc, busybox, s.LinuxSeccomp) {
				c.theirProg = append(c.theirProg, Insn(in))
			}
			for _, d := range boundaries(s) {
				c.about(t, d)
			}
			if n := c.seen["newer calls"]; n > 0 {
				t.Errorf("%d times ENOSYS where runc gives the default", n)
			}
		})
	}
}

// startsUnder picks profiles under which runc can start a container.
func startsUnder(s sample) bool {
	switch strings.TrimPrefix(s.name, "amd64 ") {
	case "default", "default for an administrator", "deny list", "every call", "no vsock", "no sockets", "podman []", "docker []":
		return s.arch == "amd64"
	}
	return false
}

func needRunc(t *testing.T) (runc, busybox string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it starts containers")
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Skip("runc is not installed")
	}
	if busybox, err = exec.LookPath("busybox"); err != nil {
		t.Skip("busybox is not installed")
	}
	return runc, busybox
}

// runcFilter returns what a container's process runs under.
func runcFilter(t *testing.T, runc, busybox string, p *specs.LinuxSeccomp) []unix.SockFilter {
	t.Helper()
	bundle := runcBundle(t, runc, busybox, p)
	id := "berth-seccomp-" + strconv.Itoa(os.Getpid())
	root := filepath.Join(bundle, "state")
	defer func() {
		if out, err := exec.Command(runc, "--root", root, "delete", "--force", id).CombinedOutput(); err != nil {
			t.Errorf("runc delete: %v: %s", err, out)
		}
	}()
	log := filepath.Join(bundle, "log")
	run := exec.Command(runc, "--root", root, "--log", log, "run", "--detach", "--bundle", bundle, id) // no pipe: the container would hold it
	if err := run.Run(); err != nil {
		text, _ := os.ReadFile(log)
		t.Fatalf("runc run: %v: %s", err, text)
	}
	var state specs.State
	out, err := exec.Command(runc, "--root", root, "state", id).Output()
	if err == nil {
		err = json.Unmarshal(out, &state)
	}
	if err != nil {
		t.Fatalf("runc state: %v", err)
	}
	prog, err := libseccomp.Installed(state.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

// runcBundle has a root file system with one program that waits.
func runcBundle(t *testing.T, runc, busybox string, p *specs.LinuxSeccomp) string {
	t.Helper()
	bundle := t.TempDir()
	for _, d := range []string{"bin", "dev", "proc", "sys"} {
		if err := os.MkdirAll(filepath.Join(bundle, "rootfs", d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "rootfs/bin/sleep"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(runc, "spec", "--bundle", bundle).CombinedOutput(); err != nil {
		t.Fatalf("runc spec: %v: %s", err, out)
	}
	file := filepath.Join(bundle, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	spec.Process.Terminal = false
	spec.Process.Args = []string{"/bin/sleep", "60"}
	spec.Linux.Seccomp = p
	if text, err = json.Marshal(spec); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return bundle
}
