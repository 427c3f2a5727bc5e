package oci

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// link makes a link in the root file system.
func (p *pod) link(to, name string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(p.rootfs(name)), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Symlink(to, p.rootfs(name)); err != nil {
		p.t.Fatal(err)
	}
}

// Links on the way to a target are followed inside the root, and what they
// lead to is made.
func TestMountThroughLinks(t *testing.T) {
	for _, userns := range []bool{false, true} {
		p := newPod(t, `cat /real/a/file /made/by/link/file /made/file/target /later/x/file; stat -c %u:%g /made/by/link /made/file; ls -ld /outside 2>/dev/null`)
		if userns {
			mapped(p)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for d := dir; d != "/tmp"; d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		p.link("/real", "var/link")
		p.link("/made/by/link", "dangling")
		p.link("../../made/file/target", "etc/deep/conf")
		p.link("later", "var/rel")
		if err := os.Mkdir(p.rootfs("real"), 0o777); err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{"real", "var", "made", "etc/deep", "etc", "made/file"} {
			if err := os.MkdirAll(p.rootfs(d), 0o777); err != nil {
				t.Fatal(err)
			}
			if userns {
				if err := os.Chown(p.rootfs(d), 100000, 100000); err != nil {
					t.Fatal(err)
				}
			}
		}
		p.link("/later", "var/abs")
		file := filepath.Join(dir, "file")
		for _, m := range []specs.Mount{
			{Destination: "/var/link/a", Source: dir},
			{Destination: "/dangling", Source: dir},
			{Destination: "/etc/deep/conf", Source: file},
			{Destination: "/var/abs/x", Source: dir},
		} {
			m.Type = "bind"
			p.mount(m)
		}
		out, code, err := p.run()
		want := strings.Repeat("text\n", 4) + "0:0\n0:0\n"
		if userns {
			want = strings.Repeat("text\n", 4) + "65534:65534\n0:0\n" // the first is the bound directory
		}
		if out != want || code != 1 || err != nil {
			t.Errorf("user namespace %t: %q %d %v, want %q", userns, out, code, err, want)
		}
	}
}

// A link must not lead a mount over what is in /proc, and /proc and /sys
// themselves are no links.
func TestMountIntoProcByLink(t *testing.T) {
	for _, tt := range []struct{ to, name, dest string }{
		{"/proc", "data", "/data"},
		{"../proc/sys", "a/b", "/a/b/kernel"},
		{"/proc/sys/kernel", "var/x", "/var/x"},
	} {
		p := newPod(t, "true")
		p.link(tt.to, tt.name)
		p.mount(specs.Mount{Destination: tt.dest, Type: "tmpfs", Source: "tmpfs"})
		_, _, err := p.run()
		wantError(t, err, tt.dest, "/proc")
	}
	for _, name := range []string{"proc", "sys"} {
		p := newPod(t, "true")
		if err := os.Remove(p.rootfs(name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		p.link("/tmp", name)
		_, _, err := p.run()
		wantError(t, err, "/"+name, "must be mounted on ordinary directory")
	}
}

// An option that a file system does not take is named, with the kernel's words.
func TestRefusedOption(t *testing.T) {
	for option, words := range map[string]string{
		"foo":      "tmpfs: Unknown parameter 'foo'",
		"size=abc": "tmpfs: Bad value for 'size'",
	} {
		p := newPod(t, "true")
		p.mount(specs.Mount{Destination: "/mnt", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=1m", option}})
		_, _, err := p.run()
		wantError(t, err, `mount /mnt: option "`+option+`": `+words, "(step ")
	}
}

// What is bound onto /proc is a procfs.
func TestBindOnProc(t *testing.T) {
	p := newPod(t, "test -e /proc/self/status && echo real")
	p.spec.Mounts[0] = specs.Mount{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind"}}
	p.spec.Linux.MaskedPaths, p.spec.Linux.ReadonlyPaths = nil, nil
	if got := p.says(); got != "real\n" {
		t.Errorf("%q", got)
	}
	p.spec.Mounts[0].Source = t.TempDir()
	_, _, err := p.run()
	wantError(t, err, "/proc", "no procfs")
	p.spec.Mounts[0] = specs.Mount{Destination: "/proc", Type: "proc", Source: "proc"}
	p.mount(specs.Mount{Destination: "/proc/meminfo", Type: "bind", Source: "/etc/hostname"})
	p.spec.Process.Args[2] = "cat /proc/meminfo"
	host, err := os.ReadFile("/etc/hostname")
	if err != nil {
		t.Skip("needs /etc/hostname:", err)
	}
	if got := p.says(); got != string(host) {
		t.Errorf("%q", got)
	}
}

// A tmpfs without a mode has that of the directory it covers; one that had to
// be made is like /tmp.
func TestTmpfsMode(t *testing.T) {
	for _, userns := range []bool{false, true} {
		p := newPod(t, "stat -c '%a' /there /new /given /ro /new/sub; touch /ro/x 2>/dev/null || echo refused")
		if userns {
			mapped(p)
		}
		for name, mode := range map[string]os.FileMode{"there": 0o750, "ro": os.ModeSticky | 0o711, "given": 0o700} {
			if err := os.Mkdir(p.rootfs(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(p.rootfs(name), mode); err != nil {
				t.Fatal(err)
			}
		}
		p.mount(specs.Mount{Destination: "/there", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid"}})
		p.mount(specs.Mount{Destination: "/new", Type: "tmpfs", Source: "tmpfs"})
		p.mount(specs.Mount{Destination: "/given", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=123"}})
		p.mount(specs.Mount{Destination: "/ro", Type: "tmpfs", Source: "tmpfs", Options: []string{"ro"}})
		p.mount(specs.Mount{Destination: "/new/sub", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=0700"}})
		if got := strings.Join(strings.Fields(p.says()), " "); got != "750 1777 123 1711 700 refused" {
			t.Errorf("user namespace %t: %q", userns, got)
		}
	}
}

// tmpcopyup fills a tmpfs with what it covers.
func TestTmpCopyUp(t *testing.T) {
	for _, userns := range []bool{false, true} {
		p := newPod(t, `cd /full; find . | sort | xargs stat -c '%n %F %a %u:%g'; cat file sub/deep/file; readlink sub/link
			touch /full/new && echo fine; touch /ro/x 2>/dev/null || echo refused; grep -c ' - tmpfs' /proc/self/mountinfo`)
		if userns {
			mapped(p)
		}
		for _, dir := range []string{"full/sub/deep", "ro"} {
			if err := os.MkdirAll(p.rootfs(dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		p.write("full/file", "one\n", 0o604)
		p.write("full/sub/deep/file", "two\n", 0o644|os.ModeSetuid)
		p.write("ro/file", "", 0o644)
		p.link("/../outside", "full/sub/link")
		owner := 0
		if userns {
			owner = 100000
		}
		for name, id := range map[string]int{"full": 0, "full/file": 7, "full/sub": 0, "full/sub/deep": 8, "full/sub/deep/file": 0, "full/sub/link": 9} {
			if err := os.Lchown(p.rootfs(name), owner+id, owner+id); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(p.rootfs("full/sub/deep/file"), 0o755|os.ModeSetuid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p.rootfs("full"), 0o751); err != nil {
			t.Fatal(err)
		}
		p.mount(specs.Mount{Destination: "/full", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup", "size=1m"}})
		p.mount(specs.Mount{Destination: "/ro", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup", "ro"}})
		want := `. directory 751 0:0
./file regular file 604 7:7
./sub directory 755 0:0
./sub/deep directory 755 8:8
./sub/deep/file regular file 4755 0:0
./sub/link symbolic link 777 9:9
one
two
/../outside
fine
refused
`
		if got := p.says(); !strings.HasPrefix(got, want) {
			t.Errorf("user namespace %t: %q", userns, got)
		}
		if entries, err := os.ReadDir(p.rootfs("full")); err != nil || len(entries) != 2 {
			t.Errorf("the directory below has changed: %v %v", entries, err)
		}
	}
}

// A copy that does not fit leaves nothing.
func TestTmpCopyUpTooLarge(t *testing.T) {
	p := newPod(t, "true")
	if err := os.Mkdir(p.rootfs("full"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.write("full/file", strings.Repeat("x", 1<<20), 0o644)
	p.mount(specs.Mount{Destination: "/full", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup", "size=64k"}})
	_, _, err := p.run()
	wantError(t, err, "/full", "file", "no space left")
}

// A device that is there already is fine, another file in its place is not.
func TestDeviceInTheWay(t *testing.T) {
	p := newPod(t, "stat -c '%F %t:%T' /there /pipe /twice; rm /there /pipe /twice")
	for name, dev := range map[string]uint64{"there": unix.Mkdev(1, 7), "pipe": 0} {
		mode := uint32(unix.S_IFCHR)
		if dev == 0 {
			mode = unix.S_IFIFO
		}
		if err := unix.Mknod(p.rootfs(name), mode|0o666, int(dev)); err != nil {
			t.Fatal(err)
		}
	}
	full := specs.LinuxDevice{Path: "/there", Type: "c", Major: 1, Minor: 7}
	again := specs.LinuxDevice{Path: "/twice", Type: "u", Major: 1, Minor: 7}
	p.spec.Linux.Devices = []specs.LinuxDevice{full, {Path: "/pipe", Type: "p", Major: 3, Minor: 4}, again, again}
	if got, want := p.says(), "character special file 1:7\nfifo 0:0\ncharacter special file 1:7\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p.write("there", "text", 0o644)
	_, _, err := p.run()
	wantError(t, err, "linux.devices", "/there")
	p.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/x/there", Type: "c", Major: 1, Minor: 8}}
	p.link("/dev/zero", "x/there")
	_, _, err = p.run()
	wantError(t, err, "linux.devices", "/x/there")
}
