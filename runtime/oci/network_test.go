package oci

import (
	"os"
	"strconv"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/fixture"
)

// A container finds the loopback up and nothing else in its network, whoever
// has made it: the runtime ahead, or the child in its user namespace.
func TestLoopback(t *testing.T) {
	for _, tt := range []struct {
		name   string
		userns bool
	}{{"made ahead", false}, {"made by the child", true}} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPod(t, "ls /sys/class/net; cat /sys/class/net/lo/operstate")
			if tt.userns {
				l := p.spec.Linux
				l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
				l.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1 << 16}}
				l.GIDMappings = l.UIDMappings
			}
			if got, want := p.says(), "lo\nunknown\n"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// What has made a network namespace is back in its own, and keeps nothing of
// one that nobody has asked for.
func TestNetworkAhead(t *testing.T) {
	fixture.Root(t)
	s := &specs.Spec{Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.NetworkNamespace}}}}
	home := networkID(t, "/proc/self/ns/net")
	for range 20 {
		c := &creation{network: networkAhead(s)}
		ns, err := c.input("net: a new one")
		if err != nil {
			t.Fatal(err)
		}
		if networkID(t, "/proc/self/fd/"+strconv.Itoa(int(ns.Fd()))) == home {
			t.Error("it is the runtime's own network")
		}
		c.closeOwn()
		if err := ns.Close(); err == nil {
			t.Error("it stays open")
		}
		for _, task := range tasks(t) {
			if id := networkID(t, task+"/ns/net"); id != home {
				t.Fatalf("%s is in network %d, not in %d", task, id, home)
			}
		}
	}
}

func networkID(t *testing.T, file string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func tasks(t *testing.T) (dirs []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		dirs = append(dirs, "/proc/self/task/"+e.Name())
	}
	return dirs
}
