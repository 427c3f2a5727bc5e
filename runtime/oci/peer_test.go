package oci

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/fixture"
)

// probe prints what a container sees of its confinement, one fact a line, in
// sections.
const probe = `
section() { echo "[$1]"; }
section status; grep -E '^(Cap|NoNewPrivs|Seccomp|Uid|Gid|Groups|Umask|Sig(Ign|Cgt))' /proc/self/status
section limits; tail -n +2 /proc/self/limits
section mounts; sed 's/.* - //;s/,\(lowerdir\|upperdir\|workdir\|size\|nr_inodes\)=[^,]*//g' /proc/self/mountinfo > /tmp/a; cut -d' ' -f5,6 /proc/self/mountinfo > /tmp/b; paste -d' ' /tmp/b /tmp/a | sort
section dev; cd /dev; find . ! -type d ! -path './mqueue/*' -exec stat -c '%n %F %a %u:%g %t:%T' {} + | sort; for l in fd stdin stdout stderr ptmx core; do echo $l $(readlink $l); done
section sysctl; cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax
section net; ip -o link | sed 's/^[0-9]*: //;s/link.*//'
section id; hostname; pwd; id; env | sort
section masked; for f in /proc/keys /proc/timer_list /proc/kcore /proc/interrupts; do [ -e $f ] && wc -c < $f; done; ls -A /sys/firmware; ls -A /proc/acpi 2>/dev/null
section write; for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/x /sys/fs/cgroup/x; do (echo > $f) 2>/dev/null && echo wrote $f; done
section fds; ls /proc/self/fd
section cgroups; ls /sys/fs/cgroup; cut -d: -f2 /proc/self/cgroup | sort; cut -d: -f3 /proc/self/cgroup | sort -u
`

// peerCases change the default specification for a comparison.
var peerCases = []struct {
	name string
	edit func(*pod)
}{
	{"default", func(*pod) {}},
	{"user", func(p *pod) {
		p.spec.Process.User.UID, p.spec.Process.User.GID = 1000, 1000
		p.spec.Process.Cwd = "/usr/bin"
	}},
	{"read-only", func(p *pod) { p.spec.Root.Readonly = true }},
	{"mounts", peerMounts},
	{"rights", func(p *pod) {
		some := []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW"}
		p.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: some, Permitted: some[:3], Effective: some[:2], Inheritable: some[1:3], Ambient: some[1:3]}
		p.spec.Process.User = specs.User{UID: 7, GID: 8, AdditionalGids: []uint32{9, 10}, Umask: ptr(uint32(0o27))}
		p.spec.Process.NoNewPrivileges = false
		p.spec.Process.OOMScoreAdj = ptr(500)
		p.spec.Process.Rlimits = []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Soft: 50, Hard: 100},
			{Type: "RLIMIT_CORE", Soft: 0, Hard: 0},
			{Type: "RLIMIT_STACK", Soft: 1 << 20, Hard: 1 << 21},
			{Type: "RLIMIT_CPU", Soft: 100, Hard: 200},
			{Type: "RLIMIT_FSIZE", Soft: 1 << 30, Hard: 1 << 30},
			{Type: "RLIMIT_MSGQUEUE", Soft: 1000, Hard: 1000},
		}
	}},
	{"kernel", func(p *pod) {
		p.spec.Domainname = "domain"
		p.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "80", "kernel.msgmax": "9000", "net.ipv4.conf.lo.forwarding": "1"}
		p.spec.Linux.Devices = []specs.LinuxDevice{
			{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229, FileMode: ptr(os.FileMode(0o640)), UID: ptr(uint32(5)), GID: ptr(uint32(6))},
			{Path: "/dev/sub/loop", Type: "b", Major: 7, Minor: 1},
		}
	}},
	{"user namespace", mapped},
}

// peerMounts are mounts of many kinds.
func peerMounts(p *pod) {
	dir := p.t.TempDir()
	for _, d := range []string{"a/sub", "b"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			p.t.Fatal(err)
		}
	}
	tmpfsAt(p.t, filepath.Join(dir, "a/sub"), unix.MS_NOSUID|unix.MS_NODEV)
	if err := os.Mkdir(p.rootfs("there"), 0o711); err != nil {
		p.t.Fatal(err)
	}
	p.link("/there", "var/link")
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, m := range []specs.Mount{
		{Destination: "/m/bind", Source: b, Type: "bind", Options: []string{"bind"}},
		{Destination: "/m/ro", Source: b, Type: "bind", Options: []string{"bind", "ro", "nosuid"}},
		{Destination: "/m/rbind", Source: a, Type: "bind", Options: []string{"rbind", "ro"}},
		{Destination: "/m/rro", Source: a, Type: "bind", Options: []string{"rbind", "rro", "rnoexec"}},
		{Destination: "/m/atime", Source: b, Type: "none", Options: []string{"bind", "noatime", "nodiratime"}},
		{Destination: "/m/slave", Source: a, Options: []string{"rbind", "rslave", "noexec"}},
		{Destination: "/m/tmp/x", Source: "name", Type: "tmpfs", Options: []string{"ro", "noexec", "size=1m", "mode=701"}},
		{Destination: "/var/link/x", Source: b, Type: "bind", Options: []string{"bind"}},
		{Destination: "/there", Source: "tmpfs", Type: "tmpfs", Options: []string{"nosuid"}},
		{Destination: "/m/file", Source: "config.json", Type: "bind", Options: []string{"bind", "ro"}},
	} {
		p.mount(m)
	}
	p.spec.Process.Args[2] += "section modes; stat -c '%n %a' /there /m /m/tmp /m/tmp/x /m/bind\n"
}

// allowed are the differences that are meant, by section. A line of either
// side that matches is left out.
var allowed = map[string][]struct{ line, why string }{
	"mounts": {
		{`^/sys `, "ours is a read-only mount, theirs a read-only file system, too"},
		{`^/(proc|sys)/`, "masks: who hides by /dev/null, who by a tmpfs, and with which flags"},
		{`^/dev/console`, "no terminal here"},
		{`^/sys/fs/cgroup`, "hybrid trees: each runtime shows them in its own way"},
		{`^/ `, "device and propagation flags of the root"},
		{`^/dev[/ ]`, "inode numbers and default sizes; modes are compared in dev"},
	},
	"dev": {
		{`/(fd|core|stdin|stdout|stderr|ptmx) symbolic link`, "the mode and number of links differ; where they lead is compared"},
		{`^core`, "runc links /proc/kcore when it is there, which only root of the machine can read"},
		{`pts/`, "no terminal here"},
		{`^\./shm`, "empty"},
	},
	"write": {
		{`^wrote /sys/fs/cgroup/x$`, "crun leaves the tmpfs above the hierarchies writable; ours must not be, which is checked"},
	},
	"cgroups": {
		{`.*`, "hybrid trees: the peers leave out the unified tree or controllers"},
	},
	"limits": {
		{`^Max (open files|processes|locked memory|pending signals)`, "inherited from the caller, which Go raises for itself"},
	},
	"net": {
		{`^(tunl0|sit0|ip6|gre|erspan|ip_vti|teql)`, "what the kernel makes in each namespace"},
	},
	"id": {
		{`^(PWD|SHLVL|OLDPWD)=`, "of the shell"},
		{`^HOME=`, "runc before 1.2 leaves an empty HOME alone"},
	},
	"fds": {
		{`^[3-9]$`, "of ls itself; runc 1.1 leaks one to the shell"},
	},
	"modes": {
		{`^/m/tmp/x`, "runc 1.1 gives a tmpfs the mode of its directory even when it has one of its own"},
		{`^/there`, "crun 1.8 leaves a tmpfs 1777, whatever it covers"},
	},
	"status": {
		{`^Groups`, "trailing blanks"},
		{`^SigIgn:\t0000000[0-3][08]0000000$`, "signals 32 to 34 are the C libraries' own, and peers inherit them from the caller"},
	},
}

// TestPeers runs the same bundle by us and by other runtimes.
func TestPeers(t *testing.T) {
	fixture.Root(t)
	for _, peer := range []string{"runc", "crun"} {
		exe, err := exec.LookPath(peer)
		if err != nil {
			t.Logf("skipped: %s is not installed", peer)
			continue
		}
		t.Run(peer, func(t *testing.T) {
			for _, c := range peerCases {
				t.Run(c.name, func(t *testing.T) { comparePeer(t, exe, c.edit) })
			}
		})
	}
}

func comparePeer(t *testing.T, exe string, edit func(*pod)) {
	p := newPodShared(t, probe)
	edit(p)
	p.spec.Version = "1.0.2" // crun 1.8 refuses what is newer than itself
	p.spec.Process.Env = append(p.spec.Process.Env, "HOME=/tmp")
	// The probe writes to /tmp, whatever the root is.
	p.spec.Mounts = append(p.spec.Mounts, p.spec.Mounts[3])
	p.spec.Mounts[len(p.spec.Mounts)-1].Destination = "/tmp"
	ours := p.says()
	theirs := p.peer(exe)
	a, b := sections(ours), sections(theirs)
	for _, name := range []string{"status", "limits", "mounts", "dev", "sysctl", "net", "id", "masked", "fds", "cgroups"} {
		if len(a[name]) == 0 {
			t.Errorf("the probe said nothing of %s", name)
		}
	}
	if len(a["write"]) > 0 {
		t.Errorf("it could write: %q", a["write"])
	}
	for name := range a {
		if diff := difference(name, a[name], b[name]); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// peer runs the bundle, which says has written, by another runtime.
func (p *pod) peer(exe string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	root := p.t.TempDir()
	args := []string{exe, "--root", root, "run", "--bundle", p.bundle, p.id + "-peer"}
	if filepath.Base(exe) == "crun" {
		// It refuses a hybrid machine whose unified tree has a controller: in
		// a mount namespace of its own it sees none.
		args = append([]string{"unshare", "-m", "sh", "-c", `umount /sys/fs/cgroup/unified; exec "$0" "$@"`}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out, stderr bytes.Buffer
	cmd.Stdin = strings.NewReader("") // a pipe: crun gives its stdin to the payload's user, were it the machine's /dev/null
	cmd.Stdout, cmd.Stderr = &out, &stderr
	cmd.WaitDelay = time.Second
	p.t.Cleanup(func() { exec.Command(exe, "--root", root, "delete", "--force", p.id+"-peer").Run() })
	if err := cmd.Run(); err != nil {
		p.t.Skipf("skipped: %s cannot run the bundle here: %v: %s", exe, err, strings.TrimSpace(stderr.String()))
	}
	return out.String()
}

func sections(text string) map[string][]string {
	all := map[string][]string{}
	name := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			name = strings.Trim(line, "[]")
			all[name] = nil
			continue
		}
		all[name] = append(all[name], line)
	}
	return all
}

// difference gives the lines that only one side has and no rule allows.
func difference(section string, ours, theirs []string) string {
	var b strings.Builder
	only := func(mark string, a, other []string) {
		for _, line := range a {
			if !slices.Contains(other, line) && !excused(section, line) {
				fmt.Fprintf(&b, "%s %s\n", mark, line)
			}
		}
	}
	only("ours  ", ours, theirs)
	only("theirs", theirs, ours)
	return b.String()
}

func excused(section, line string) bool {
	for _, rule := range allowed[section] {
		if regexp.MustCompile(rule.line).MatchString(line) {
			return true
		}
	}
	return false
}
