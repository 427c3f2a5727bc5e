package oci

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestNoPivot(t *testing.T) {
	// A user namespace inside may mount a procfs if there is one fully visible
	// below the container's root.
	const probe = `ls -d /bin /proc/self /outside-no; cd ..; pwd; unshare -mrpf sh -c 'mount -t proc proc /tmp && echo bare'`
	p := newPod(t, "exec 2>&1; "+probe)
	p.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: everyCap[:41], Permitted: everyCap[:41], Effective: everyCap[:41]}
	p.spec.Mounts = append(p.spec.Mounts, specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs"})
	for _, noPivot := range []bool{true, false} {
		out, _, err := p.run(func(r *CreateRequest) { r.NoPivot = noPivot })
		if err != nil || !strings.HasPrefix(out, "ls: /outside-no: No such file or directory\n/bin\n/proc/self\n/\n") {
			t.Errorf("without pivot %t: %q %v", noPivot, out, err)
		}
		if strings.Contains(out, "bare") || !strings.Contains(out, "ermission denied") && !strings.Contains(out, "not permitted") {
			t.Errorf("without pivot %t: %q", noPivot, out)
		}
	}
}

func TestBareMounts(t *testing.T) {
	got, err := bareMounts(`22 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw
23 28 0:22 / /proc rw - proc proc rw
24 23 0:22 / /a\040b/proc rw - proc proc rw
25 23 0:22 / /box/rootfs/proc rw - proc proc rw
26 23 0:22 / /box/rootfs2 rw - proc proc rw
28 1 8:1 / / rw - ext4 /dev/sda rw
`, "/box/rootfs")
	if diff := cmp.Diff([]string{"/box/rootfs2", "/a b/proc", "/proc", "/sys"}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for file, want := range map[string]string{"/box/rootfs": "/", "/box/rootfs2/x": "/box/rootfs2", "/sys": "/sys"} {
		at, err := mountPointOf("22 28 0:21 / /sys rw - sysfs sysfs rw\n28 1 8:1 / / rw - ext4 x rw\n26 23 0:22 / /box/rootfs2 rw - proc proc rw\n", file)
		if at != want || err != nil {
			t.Errorf("%s is in %q, %v, want %q", file, at, err, want)
		}
	}
	if _, err := bareMounts("1 2 3\n", "/x"); err == nil {
		t.Error("a line without its end was taken")
	}
}

func FuzzBareMounts(f *testing.F) {
	f.Add("23 28 0:22 / /proc\\040x rw - proc proc rw\n")
	f.Add("1 2 - 3\n")
	f.Fuzz(func(t *testing.T, text string) {
		if at, err := mountPointOf(text, "/root/x"); err == nil && at != "/" && at != "/root" && at != "/root/x" {
			t.Errorf("/root/x is not in %q", at)
		}
		bare, err := bareMounts(text, "/root")
		if err != nil {
			return
		}
		for _, p := range bare {
			if p == "/root" || strings.HasPrefix(p, "/root/") {
				t.Errorf("%q is in the root", p)
			}
		}
	})
}
