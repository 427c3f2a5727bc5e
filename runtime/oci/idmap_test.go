package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// owned is a directory of the machine with a file of an owner, open to all.
func owned(t *testing.T, uid, gid int) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, uid, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (p *pod) mount(m specs.Mount) { p.spec.Mounts = append(p.spec.Mounts, m) }

func mapping(container, host, size uint32) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: container, HostID: host, Size: size}}
}

// tmpfsAt mounts a tmpfs on the machine for the time of the test.
func tmpfsAt(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, "mode=777"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func TestMappedMounts(t *testing.T) {
	const show = `stat -c %u:%g /data/file; touch /data/new; stat -c %u:%g /data/new`
	for _, tt := range []struct {
		name   string
		userns bool
		owner  int
		mount  specs.Mount
		want   string // what the payload sees: of the file, of one that it made
		disk   string // whose that is on the machine
	}{
		{"own map", false, 0, specs.Mount{Options: []string{"bind"}, UIDMappings: mapping(0, 0, 65536), GIDMappings: mapping(0, 0, 65536)}, "0:0 0:0", "0:0"},
		{"own map shifts", false, 7, specs.Mount{Options: []string{"rbind", "idmap"}, UIDMappings: append(mapping(7, 1007, 1), mapping(0, 0, 1)...), GIDMappings: append(mapping(7, 2007, 1), mapping(0, 0, 1)...)}, "1007:2007 0:0", "0:0"},
		{"the container's map", true, 0, specs.Mount{Options: []string{"bind", "idmap"}}, "0:0 0:0", "0:0"},
		{"recursive", true, 5, specs.Mount{Options: []string{"rbind", "ridmap"}}, "5:5 0:0", "0:0"},
		{"no map", true, 0, specs.Mount{Options: []string{"bind"}}, "65534:65534 0:0", "100000:100000"},
		{"user namespace and own map", true, 0, specs.Mount{Options: []string{"bind", "idmap"}, UIDMappings: mapping(0, 100003, 1000), GIDMappings: mapping(0, 100004, 1000)}, "3:4", ""},
		{"crun's option", true, 0, specs.Mount{Options: []string{"bind", "idmap=uids=@0-3-9;gids=0-100004-9"}}, "3:4", ""},
		{"type none", true, 0, specs.Mount{Type: "none", Options: []string{"rbind", "idmap", "rw", "nosuid"}}, "0:0 0:0", "0:0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPod(t, show)
			if tt.userns {
				mapped(p)
			}
			tt.mount.Source, tt.mount.Destination = owned(t, tt.owner, tt.owner), "/data"
			if err := os.Chmod(filepath.Dir(tt.mount.Source), 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.mount.Type == "" {
				tt.mount.Type = "bind"
			}
			p.mount(tt.mount)
			out, _, err := p.run()
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(strings.Fields(out), " "); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
			var st unix.Stat_t
			err = unix.Stat(filepath.Join(tt.mount.Source, "new"), &st)
			if got := fmt.Sprintf("%d:%d", st.Uid, st.Gid); tt.disk != "" && (err != nil || got != tt.disk) {
				t.Errorf("on the machine it belongs to %s (%v), want %s", got, err, tt.disk)
			}
		})
	}
}

// idmap is for the mount itself, ridmap for what is mounted below, too.
func TestMappedSubmounts(t *testing.T) {
	for _, tt := range []struct{ option, want string }{{"idmap", "0:0 65534:65534"}, {"ridmap", "0:0 0:0"}} {
		p := newPod(t, `stat -c %u:%g /data/file /data/sub/file`)
		mapped(p)
		dir := owned(t, 0, 0)
		tmpfsAt(t, filepath.Join(dir, "sub"), 0)
		if err := os.WriteFile(filepath.Join(dir, "sub/file"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		p.mount(specs.Mount{Destination: "/data", Source: dir, Options: []string{"rbind", tt.option}})
		if got := strings.Join(strings.Fields(p.says()), " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.option, got, tt.want)
		}
	}
}

// A user namespace that is joined has the map, and further namespaces belong to it.
func TestMappedMountsJoined(t *testing.T) {
	first := newPod(t, "sleep 1000")
	mapped(first)
	first.create(newOutput(t))
	s, err := first.State(first.id)
	if err != nil {
		t.Fatal(err)
	}
	p := newPod(t, `stat -c %u:%g /data/file; readlink /proc/self/ns/user; readlink /proc/self/ns/net; hostname; id -u`)
	mapped(p)
	last := len(p.spec.Linux.Namespaces) - 1
	p.spec.Linux.Namespaces[last].Path = fmt.Sprintf("/proc/%d/ns/user", s.Pid)
	for i := range p.spec.Linux.Namespaces {
		if n := &p.spec.Linux.Namespaces[i]; n.Type == specs.NetworkNamespace {
			n.Path = fmt.Sprintf("/proc/%d/ns/net", s.Pid)
		}
	}
	p.mount(specs.Mount{Destination: "/data", Source: owned(t, 0, 0), Options: []string{"bind", "idmap"}})
	want := fmt.Sprintf("0:0\n%s\n%s\nberth\n0\n", link(t, fmt.Sprintf("/proc/%d/ns/user", s.Pid)), link(t, fmt.Sprintf("/proc/%d/ns/net", s.Pid)))
	if got := p.says(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A new user namespace and a network of the machine's own making: docker's
// userns-remap with --network container:X.
func TestUserNamespaceJoinsForeignNetwork(t *testing.T) {
	first := running(t)
	s, err := first.State(first.id)
	if err != nil {
		t.Fatal(err)
	}
	p := newPod(t, `readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; ps -o comm | grep -c '^sleep$'`)
	mapped(p)
	var want strings.Builder
	for i := range p.spec.Linux.Namespaces {
		n := &p.spec.Linux.Namespaces[i]
		switch n.Type {
		case specs.NetworkNamespace:
			n.Path = fmt.Sprintf("/proc/%d/ns/net", s.Pid)
		case specs.IPCNamespace:
			n.Path = fmt.Sprintf("/proc/%d/ns/ipc", s.Pid)
		}
	}
	for i := range p.spec.Mounts { // sysfs and mqueue belong to those namespaces
		if m := &p.spec.Mounts[i]; m.Type == "sysfs" || m.Type == "mqueue" {
			*m = specs.Mount{Destination: m.Destination, Type: "tmpfs", Source: "tmpfs"}
		}
	}
	p.spec.Linux.MaskedPaths = nil
	fmt.Fprintf(&want, "%s\n%s\n0\n", link(t, fmt.Sprintf("/proc/%d/ns/net", s.Pid)), link(t, fmt.Sprintf("/proc/%d/ns/ipc", s.Pid)))
	if out, _, err := p.run(); out != want.String() || err != nil {
		t.Errorf("%q %v, want %q", out, err, want.String())
	}
}

// What root of the machine can reach can be mounted, whoever the container's root is.
func TestUserNamespaceUnreachableSource(t *testing.T) {
	for _, options := range [][]string{{"rbind", "ro"}, {"bind", "idmap"}} {
		p := newPod(t, `cat /data/file; touch /data/x 2>/dev/null && echo wrote`)
		mapped(p)
		top := t.TempDir()
		dir := filepath.Join(top, "closed", "data")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(top, "closed"), 0o700); err != nil {
			t.Fatal(err)
		}
		p.mount(specs.Mount{Destination: "/data", Source: dir, Type: "bind", Options: options})
		want := "text\n"
		if options[1] == "idmap" {
			want += "wrote\n"
		}
		if out, _, err := p.run(); out != want || err != nil {
			t.Errorf("%q: %q %v", options, out, err)
		}
	}
}

// Sources may lie in what earlier mounts made.
func TestSourceInsideContainer(t *testing.T) {
	for _, tt := range []struct {
		userns bool
		option string
	}{{false, "rw"}, {true, "rw"}, {false, "idmap"}, {true, "idmap"}} {
		p := newPod(t, `touch /made/file; ls /again`)
		again := specs.Mount{Destination: "/again", Source: p.rootfs("made"), Type: "bind", Options: []string{"rbind", tt.option}}
		if tt.userns {
			mapped(p)
		} else if tt.option == "idmap" {
			again.UIDMappings, again.GIDMappings = mapping(0, 0, 9), mapping(0, 0, 9)
		}
		p.mount(specs.Mount{Destination: "/made", Type: "tmpfs", Source: "tmpfs"})
		p.mount(again)
		out, _, err := p.run()
		if tt.userns && tt.option == "idmap" {
			wantError(t, err, "mounts[8]", "mapped")
		} else if out != "file\n" || err != nil {
			t.Errorf("%+v: %q %v", tt, out, err)
		}
	}
}

// A bind mount that names no flag keeps its source's, one that names some has
// only those. What is locked in a user namespace stays or is an error.
func TestBindFlags(t *testing.T) {
	const sourceFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOSYMFOLLOW
	for _, tt := range []struct {
		name    string
		userns  bool
		options []string
		want    string
	}{
		{"none named", false, []string{"bind"}, "rw,nosuid,nodev,relatime,nosymfollow"},
		{"one named", false, []string{"bind", "noexec"}, "rw,noexec,relatime"},
		{"cleared", false, []string{"bind", "dev"}, "rw,relatime"},
		{"atime", false, []string{"bind", "noatime"}, "rw,noatime"},
		{"none named, user namespace", true, []string{"bind"}, "rw,nosuid,nodev,relatime,nosymfollow"},
		{"one named, user namespace", true, []string{"bind", "ro"}, "ro,nosuid,nodev,relatime"},
		{"locked", true, []string{"bind", "suid"}, "an error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPod(t, `grep ' /data ' /proc/self/mountinfo | cut -d' ' -f6`)
			if tt.userns {
				mapped(p)
			}
			dir := filepath.Join(t.TempDir(), "source")
			tmpfsAt(t, dir, sourceFlags)
			if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
				t.Fatal(err)
			}
			p.mount(specs.Mount{Destination: "/data", Source: dir, Type: "bind", Options: tt.options})
			out, _, err := p.run()
			if strings.Contains(tt.want, " ") {
				wantError(t, err, dir, "operation not permitted")
				return
			}
			if got := strings.TrimSpace(out); got != tt.want || err != nil {
				t.Errorf("%q %v, want %q", got, err, tt.want)
			}
		})
	}
}

// A namespace that only has a map leaves no process, whether it could be made or not.
func TestMapNamespace(t *testing.T) {
	ns, err := mapNamespace("0-1000-10,10-0-1/0-2000-5")
	if err != nil {
		if errors.Is(err, unix.EPERM) {
			t.Skip("needs root:", err)
		}
		t.Fatal(err)
	}
	defer ns.Close()
	kind, err := unix.IoctlRetInt(int(ns.Fd()), unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWUSER {
		t.Errorf("it is a namespace of type %#x, %v", kind, err)
	}
	if _, err := mapNamespace("0-0-1,0-5-1/0-0-1"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a map that the kernel refuses: %v", err)
	}
	var ws unix.WaitStatus
	if pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("there is still a child %d, %v", pid, err)
	}
}
