package oci

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/fixture"
)

// tied prints how a mount of the container is tied to others.
const tied = `tied() { awk -v p="$1" '$5 == p' /proc/self/mountinfo | tail -n 1 | sed 's/ - .*//;s/:[0-9]*//g' | cut -d' ' -f7- | sed 's/^$/private/'; }; `

func TestPropagation(t *testing.T) {
	for _, tt := range []struct{ option, want string }{
		{"", "private"},
		{"private", "private"},
		{"rprivate", "private"},
		{"slave", "master"},
		{"rslave", "master"},
		{"shared", "shared master"},
		{"rshared", "shared master"},
		{"unbindable", "unbindable"},
		{"runbindable", "unbindable"},
	} {
		p := newPod(t, tied+"tied /data")
		dir := filepath.Join(t.TempDir(), "source")
		tmpfsAt(t, dir, 0)
		if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
			t.Fatal(err)
		}
		m := specs.Mount{Destination: "/data", Source: dir, Type: "bind", Options: []string{"rbind"}}
		if tt.option != "" {
			m.Options = append(m.Options, tt.option)
		}
		p.mount(m)
		if got := strings.TrimSpace(p.says()); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.option, got, tt.want)
		}
	}
}

func TestRootfsPropagation(t *testing.T) {
	for _, tt := range []struct{ value, want string }{
		{"", "private"},
		{"private", "private"},
		{"rprivate", "private"},
		{"slave", "private"}, // of nobody: the root is a tree of its own
		{"rslave", "private"},
		{"shared", "shared"},
		{"rshared", "shared"},
		{"unbindable", "unbindable"},
	} {
		p := newPod(t, tied+"tied /")
		p.spec.Linux.RootfsPropagation = tt.value
		if got := strings.TrimSpace(p.says()); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.value, got, tt.want)
		}
	}
}

// With a shared root, what the container mounts in a shared bind mount shows on
// the machine, and goes with the test; nothing else of the container does.
func TestSharedBothWays(t *testing.T) {
	for _, shared := range []bool{true, false} {
		p := newPod(t, "exec 2>&1; mkdir /data/in && mount -t tmpfs inner /data/in && touch /data/in/file && sleep 1000")
		p.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: everyCap[:41], Permitted: everyCap[:41], Effective: everyCap[:41]}
		dir := filepath.Join(t.TempDir(), "source")
		tmpfsAt(t, dir, 0)
		if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
			t.Fatal(err)
		}
		// The bundle, too, is in a mount that is shared, as all are with systemd.
		tmpfsAt(t, p.rootfs("mnt"), 0)
		if err := unix.Mount("", p.rootfs("mnt"), "", unix.MS_SHARED, ""); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(p.rootfs("mnt/root"), 0o755); err != nil {
			t.Fatal(err)
		}
		fixture.BusyboxAt(t, p.rootfs("mnt/root"))
		p.spec.Root.Path = "rootfs/mnt/root"
		m := specs.Mount{Destination: "/data", Source: dir, Type: "bind", Options: []string{"rbind", "rslave"}}
		if shared {
			p.spec.Linux.RootfsPropagation = "rshared"
			m.Options[1] = "rshared"
		}
		p.mount(m)
		o := newOutput(t)
		proc := p.create(o)
		before := mountinfo(t)
		if err := p.Start(t.Context(), p.id); err != nil {
			t.Fatal(err)
		}
		asleep(t, proc)
		after := mountinfo(t)
		if got := strings.Contains(after, " "+dir+"/in "); got != shared {
			t.Errorf("shared %t: it shows on the machine %t:\n%s", shared, got, after)
		}
		for _, text := range []string{before, after} {
			if n := strings.Count(text, p.bundle); n != 1 {
				t.Errorf("shared %t: %d mounts in the bundle, want the test's own:\n%s", shared, n, text)
			}
		}
		if err := p.Delete(t.Context(), p.id, true); err != nil {
			t.Fatal(err)
		}
		unix.Unmount(dir+"/in", unix.MNT_DETACH)
	}
}

func mountinfo(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
