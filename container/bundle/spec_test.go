package bundle

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

func testHost() Host {
	return Host{
		ID:          strings.Repeat("0123456789abcdef", 4),
		Rootfs:      "/run/root",
		CgroupsPath: "/berth/0123",
		User:        User{Home: "/root", Name: "root"},
		Seccomp:     &specs.LinuxSeccomp{DefaultAction: specs.ActErrno},
	}
}

func testImage() *ocispec.Image {
	img := new(ocispec.Image)
	img.Config.Cmd = []string{"sh"}
	return img
}

// must makes a spec of a small change to an empty request.
func must(t *testing.T, change func(*container.Request, *Host)) *specs.Spec {
	t.Helper()
	s, err := try(change)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func try(change func(*container.Request, *Host)) (*specs.Spec, error) {
	r, h := container.Request{}, testHost()
	change(&r, &h)
	return Spec(&r, testImage(), h)
}

func TestCommand(t *testing.T) {
	for _, tt := range []struct {
		name              string
		entry, cmd        []string // image
		reqEntry, reqArgs []string
		want              string
	}{
		{"cmd", nil, []string{"a", "b"}, nil, nil, "a b"},
		{"entrypoint and cmd", []string{"e"}, []string{"c"}, nil, nil, "e c"},
		{"args replace cmd", []string{"e"}, []string{"c"}, nil, []string{"x"}, "e x"},
		{"entrypoint clears cmd", []string{"e"}, []string{"c"}, []string{"n"}, nil, "n"},
		{"entrypoint and args", []string{"e"}, []string{"c"}, []string{"n"}, []string{"x"}, "n x"},
		{"entrypoint cleared", []string{"e"}, []string{"c"}, []string{""}, []string{"x"}, "x"},
		{"entrypoint empty list", []string{"e"}, []string{"c"}, []string{}, []string{"x"}, "x"},
		{"shell form", []string{"/bin/sh", "-c", "e"}, []string{"c"}, nil, []string{"x"}, "/bin/sh -c e x"},
		{"nothing", nil, nil, nil, nil, ""},
		{"cleared and nothing", []string{"e"}, []string{"c"}, []string{""}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := &ocispec.Image{Config: ocispec.ImageConfig{Entrypoint: tt.entry, Cmd: tt.cmd}}
			got, err := Command(&container.Request{Entrypoint: tt.reqEntry, Args: tt.reqArgs}, img)
			if tt.want == "" {
				if !errors.Is(err, fault.Invalid) || err.Error() != "no command specified" {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil || strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, %v, want %s", got, err, tt.want)
			}
			if len(tt.cmd) > 0 && len(got) > 0 {
				got[len(got)-1] = "changed"
				if slices.Contains(tt.cmd, "changed") || slices.Contains(tt.entry, "changed") {
					t.Error("the result shares memory with the image")
				}
			}
		})
	}
	if _, err := Command(&container.Request{}, nil); !errors.Is(err, fault.Invalid) {
		t.Errorf("no image: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name       string
		tty        bool
		image, req []string
		want       string
	}{
		{"defaults", false, nil, nil, "PATH=" + defaultPath + "|HOSTNAME=0123456789ab|HOME=/root"},
		{"terminal", true, nil, nil, "PATH=" + defaultPath + "|HOSTNAME=0123456789ab|TERM=xterm|HOME=/root"},
		{"image PATH", false, []string{"PATH=/x", "A=1"}, nil, "PATH=/x|HOSTNAME=0123456789ab|A=1|HOME=/root"},
		{"request beats image", false, []string{"A=1", "B=2"}, []string{"C=3", "A=9"}, "PATH=" + defaultPath + "|HOSTNAME=0123456789ab|C=3|A=9|B=2|HOME=/root"},
		{"later wins", false, nil, []string{"A=1", "A=2"}, "PATH=" + defaultPath + "|HOSTNAME=0123456789ab|A=2|HOME=/root"},
		{"unset", false, []string{"A=1"}, []string{"A", "PATH"}, "HOSTNAME=0123456789ab|HOME=/root"},
		{"unset, then set", false, []string{"A=1"}, []string{"A", "A=3"}, "PATH=" + defaultPath + "|HOSTNAME=0123456789ab|A=3|HOME=/root"},
		{"prefix", false, []string{"AB=1"}, []string{"A=2"}, "PATH=" + defaultPath + "|HOSTNAME=0123456789ab|A=2|AB=1|HOME=/root"},
		{"own HOME", true, nil, []string{"HOME=/h", "TERM=vt100"}, "PATH=" + defaultPath + "|HOSTNAME=0123456789ab|TERM=vt100|HOME=/h"},
		{"junk in the image", false, []string{"", "=x", "K"}, nil, "PATH=" + defaultPath + "|HOSTNAME=0123456789ab|HOME=/root"},
		{"many lines", false, nil, []string{"PEM=a\nb"}, "PATH=" + defaultPath + "|HOSTNAME=0123456789ab|PEM=a\nb|HOME=/root"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := testImage()
			img.Config.Env = tt.image
			s, err := Spec(&container.Request{TTY: tt.tty, Env: tt.req}, img, testHost())
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(s.Process.Env, "|"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestCapabilities(t *testing.T) {
	short := func(list []string) string { return strings.ReplaceAll(strings.Join(list, " "), "CAP_", "") }
	all := short(kernel.Capabilities())
	for _, tt := range []struct {
		name      string
		add, drop []string
		priv      bool
		here      []string
		want      string
		err       error
	}{
		{"default", nil, nil, false, nil, "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP", nil},
		{"drop all", nil, []string{"ALL"}, false, nil, "", nil},
		{"drop all, add", []string{"chown", "CAP_SYS_ADMIN"}, []string{"all"}, false, nil, "CHOWN SYS_ADMIN", nil},
		{"add all", []string{"ALL"}, nil, false, nil, all, nil},
		{"add all, drop", []string{"ALL"}, []string{"CHOWN"}, false, nil, strings.TrimPrefix(all, "CHOWN "), nil},
		{"add and drop one", []string{"CHOWN"}, []string{"CHOWN", "KILL"}, false, nil, "CHOWN DAC_OVERRIDE FOWNER FSETID SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP", nil},
		{"privileged", nil, []string{"CHOWN"}, true, nil, all, nil},
		{"privileged on a poor machine", nil, nil, true, []string{"CAP_KILL", "CAP_CHOWN", "CAP_FUTURE"}, "CHOWN KILL", nil},
		{"default on a poor machine", nil, nil, false, []string{"CAP_KILL", "CAP_SYS_ADMIN"}, "KILL", nil},
		{"missing here", []string{"SYS_TIME"}, nil, false, []string{"CAP_KILL"}, "", fault.Unsupported},
		{"unknown", []string{"ZZ"}, nil, false, nil, "", fault.Invalid},
		{"unknown drop", nil, []string{""}, false, nil, "", fault.Invalid},
		{"all both ways", []string{"ALL"}, []string{"ALL"}, false, nil, "", fault.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &container.Request{CapAdd: tt.add, CapDrop: tt.drop, Privileged: tt.priv}
			got, err := Capabilities(r, Host{Capabilities: tt.here})
			if !errors.Is(err, tt.err) || short(got) != tt.want {
				t.Errorf("got %q, %v, want %q, %v", short(got), err, tt.want, tt.err)
			}
		})
	}
}

func TestCapabilitySets(t *testing.T) {
	root := must(t, func(r *container.Request, h *Host) {}).Process.Capabilities
	if len(root.Bounding) != 14 || !slices.Equal(root.Bounding, root.Effective) || !slices.Equal(root.Bounding, root.Permitted) {
		t.Errorf("root: %+v", root)
	}
	user := must(t, func(r *container.Request, h *Host) { h.User.UID = 1000 }).Process.Capabilities
	if len(user.Bounding) != 14 || user.Effective != nil || user.Permitted != nil {
		t.Errorf("user: %+v", user)
	}
	for _, c := range []*specs.LinuxCapabilities{root, user} {
		if c.Inheritable != nil || c.Ambient != nil {
			t.Errorf("inheritable or ambient: %+v", c)
		}
	}
}

// Every request here is refused, with a class and with a text that says why.
func TestSpecRefuses(t *testing.T) {
	type change = func(*container.Request, *Host)
	set := func(f func(*container.Request)) change { return func(r *container.Request, _ *Host) { f(r) } }
	mnt := func(m container.Mount) change {
		return set(func(r *container.Request) { r.Mounts = []container.Mount{m} })
	}
	bindTo := func(target string) change {
		return mnt(container.Mount{Type: "bind", Source: "/s", Target: target})
	}
	sysctl := func(k, v string) change {
		return set(func(r *container.Request) { r.Sysctls = map[string]string{k: v} })
	}
	res := func(x container.Resources) change { return set(func(r *container.Request) { r.Resources = x }) }
	label := func(l ...string) change { return set(func(r *container.Request) { r.Security.Label = l }) }
	for _, tt := range []struct {
		name   string
		change change
		class  fault.Kind
		text   string
	}{
		{"workdir", set(func(r *container.Request) { r.WorkDir = "x" }), fault.Invalid, "the working directory 'x' is invalid, it needs to be an absolute path"},
		{"env", set(func(r *container.Request) { r.Env = []string{"=x"} }), fault.Invalid, "invalid environment variable: =x"},
		{"init", set(func(r *container.Request) { r.Init = true }), fault.Unsupported, "--init"},
		{"oom score", set(func(r *container.Request) { r.OOMScoreAdj = 1001 }), fault.Invalid, "Invalid value 1001, range for oom score adj is [-1000, 1000]"},
		{"NUL arg", set(func(r *container.Request) { r.Args = []string{"a\x00b"} }), fault.Invalid, `NUL byte after "a"`},
		{"NUL env", set(func(r *container.Request) { r.Env = []string{"A=\x00"} }), fault.Invalid, "NUL"},
		{"NUL annotation", set(func(r *container.Request) { r.Annotations = map[string]string{"a": "\x00"} }), fault.Invalid, "NUL"},
		{"empty annotation", set(func(r *container.Request) { r.Annotations = map[string]string{"": "x"} }), fault.Invalid, "empty name"},

		{"hostname LF", set(func(r *container.Request) { r.Hostname = "a\nb" }), fault.Invalid, "invalid hostname"},
		{"hostname long", set(func(r *container.Request) { r.Hostname = strings.Repeat("a", 65) }), fault.Invalid, "longer than 64"},
		{"domainname CR", set(func(r *container.Request) { r.Domainname = "a\r" }), fault.Invalid, "invalid domainname"},
		{"hostname and uts", set(func(r *container.Request) { r.Hostname, r.UTS = "a", "host" }), fault.Invalid, "conflicting options: hostname and the UTS mode"},
		{"domainname and uts", set(func(r *container.Request) { r.Domainname, r.UTS = "a", "host" }), fault.Invalid, "conflicting options: domainname and the UTS mode"},
		{"hostname and network", func(r *container.Request, h *Host) {
			r.Hostname, r.Network = "a", "container:x"
			h.Namespaces = map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "/n"}
		}, fault.Invalid, "conflicting options: hostname and the network mode"},

		{"pid mode", set(func(r *container.Request) { r.PID = "foo" }), fault.Invalid, "--pid: invalid PID mode"},
		{"pid none", set(func(r *container.Request) { r.PID = "none" }), fault.Invalid, "--pid: invalid PID mode"},
		{"uts mode", set(func(r *container.Request) { r.UTS = "container:x" }), fault.Invalid, "--uts: invalid UTS mode"},
		{"ipc mode", set(func(r *container.Request) { r.IPC = "container:" }), fault.Invalid, "--ipc: invalid IPC mode"},
		{"cgroupns", set(func(r *container.Request) { r.Cgroup = "x" }), fault.Invalid, "--cgroupns: invalid CGROUP mode"},
		{"userns", set(func(r *container.Request) { r.Userns = "auto" }), fault.Invalid, "--userns: invalid USER mode"},
		{"bridge", set(func(r *container.Request) { r.Network = "bridge" }), fault.Unsupported, "--network bridge is not in this build"},
		{"join a dead one", set(func(r *container.Request) { r.PID = "container:x" }), fault.NotRunning, "container x is not running"},
		{"ipc not shareable", func(r *container.Request, h *Host) {
			r.IPC = "container:x"
			h.Namespaces = map[specs.LinuxNamespaceType]string{specs.IPCNamespace: "/n"}
		}, fault.Conflict, "non-shareable IPC"},

		{"volume", mnt(container.Mount{Type: "volume", Source: "v", Target: "/v"}), fault.Unsupported, "volumes are not in this build"},
		{"mount type", mnt(container.Mount{Type: "nfs", Target: "/v"}), fault.Invalid, "mount type unknown"},
		{"relative target", bindTo("x"), fault.Invalid, "must be absolute"},
		{"root", bindTo("/x/.."), fault.Invalid, "destination can't be '/'"},
		{"proc", bindTo("/proc"), fault.Invalid, "/proc"},
		{"proc spelled", bindTo("//x/../proc/./"), fault.Invalid, "/proc"},
		{"below proc", bindTo("/proc/sys/kernel"), fault.Invalid, "/proc"},
		{"tmpfs on proc", mnt(container.Mount{Type: "tmpfs", Target: "/proc/1"}), fault.Invalid, "/proc"},
		{"device node", bindTo("/dev/null"), fault.Invalid, "device of every container"},
		{"pts", bindTo("/dev/pts/0"), fault.Invalid, "device of every container"},
		{"relative source", mnt(container.Mount{Type: "bind", Source: "s", Target: "/t"}), fault.Invalid, "must be absolute"},
		{"propagation", mnt(container.Mount{Type: "bind", Source: "/s", Target: "/t", Propagation: "up"}), fault.Invalid, "propagation"},
		{"recursive", mnt(container.Mount{Type: "bind", Source: "/s", Target: "/t", ReadOnly: true, Recursive: "x"}), fault.Invalid, "bind-recursive"},
		{"rro on an old kernel", mnt(container.Mount{Type: "bind", Source: "/s", Target: "/t", ReadOnly: true, Recursive: "readonly"}), fault.Unsupported, "5.12"},
		{"tmpfs option", mnt(container.Mount{Type: "tmpfs", Target: "/t", Options: []string{"context=x"}}), fault.Invalid, "invalid tmpfs option"},
		{"twice", set(func(r *container.Request) {
			r.Mounts = []container.Mount{{Type: "bind", Source: "/s", Target: "/t"}, {Type: "tmpfs", Target: "/x/../t"}}
		}), fault.Invalid, "Duplicate mount point: /t"},
		{"relabel", func(r *container.Request, h *Host) {
			r.Mounts = []container.Mount{{Type: "bind", Source: "/s", Target: "/t", Relabel: "Z"}}
			h.ProcessLabel = "u:r:t:s0"
		}, fault.Unsupported, "relabelling"},

		{"device", set(func(r *container.Request) {
			r.Devices = []container.Device{{Host: "/dev/x", Container: "/dev/x", Perms: "r"}}
		}), fault.Invalid, `error gathering device information while adding custom device "/dev/x"`},
		{"device over a node", func(r *container.Request, h *Host) {
			r.Devices = []container.Device{{Host: "/dev/x", Container: "/dev/null", Perms: "r"}}
			h.Devices = map[string][]specs.LinuxDevice{"/dev/x": {{Path: "/dev/x", Type: "c"}}}
		}, fault.Invalid, "device of every container"},
		{"device in proc", func(r *container.Request, h *Host) {
			r.Devices = []container.Device{{Host: "/dev/x", Container: "/dev/../proc/x", Perms: "r"}}
			h.Devices = map[string][]specs.LinuxDevice{"/dev/x": {{Path: "/dev/x", Type: "c"}}}
		}, fault.Invalid, "invalid device path"},
		{"device perms", set(func(r *container.Request) {
			r.Devices = []container.Device{{Host: "/dev/x", Container: "/dev/x", Perms: "x"}}
		}), fault.Invalid, "bad mode"},
		{"device rule", set(func(r *container.Request) { r.DeviceRules = []string{"zz"} }), fault.Invalid, "invalid device cgroup format 'zz'"},

		{"sysctl of the machine", sysctl("kernel.core_pattern", "|/x"), fault.Invalid, "sysctl 'kernel.core_pattern' is not allowed"},
		{"sysctl vm", sysctl("vm.swappiness", "1"), fault.Invalid, "not allowed"},
		{"sysctl climbs", sysctl("net/../kernel/core_pattern", "x"), fault.Invalid, "not allowed"},
		{"sysctl climbs dotted", sysctl("net...kernel.x", "x"), fault.Invalid, "not allowed"},
		{"sysctl prefix", sysctl("network.x", "x"), fault.Invalid, "not allowed"},
		{"sysctl hostname", sysctl("kernel.hostname", "x"), fault.Invalid, "use --hostname"},
		{"sysctl empty", sysctl("", "x"), fault.Invalid, "sysctl '' is not allowed"},
		{"sysctl LF", sysctl("net.x", "1\n2"), fault.Invalid, "printable"},
		{"sysctl no value", sysctl("net.x", ""), fault.Invalid, "printable"},
		{"sysctl upper case", sysctl("net.X", "1"), fault.Invalid, "not allowed"},
		{"sysctl without namespace", func(r *container.Request, _ *Host) {
			r.Network, r.Sysctls = "host", map[string]string{"net.core.somaxconn": "1"}
		}, fault.Invalid, "no network namespace of its own"},
		{"sysctl ipc joined", func(r *container.Request, h *Host) {
			r.IPC, r.Sysctls = "container:x", map[string]string{"fs.mqueue.msg_max": "1"}
			h.ShmPath, h.Namespaces = "/shm", map[specs.LinuxNamespaceType]string{specs.IPCNamespace: "/n"}
		}, fault.Invalid, "no ipc namespace of its own"},
		{"domainname twice", func(r *container.Request, _ *Host) {
			r.Domainname, r.Sysctls = "d", map[string]string{"kernel.domainname": "e"}
		}, fault.Invalid, "conflicting options"},

		{"memory", res(container.Resources{Memory: 6<<20 - 1}), fault.Invalid, "Minimum memory limit allowed is 6MB"},
		{"memory negative", res(container.Resources{Memory: -1}), fault.Invalid, "negative"},
		{"reservation", res(container.Resources{MemoryReservation: 1}), fault.Invalid, "Minimum memory reservation allowed is 6MB"},
		{"reservation over limit", res(container.Resources{Memory: 8 << 20, MemoryReservation: 9 << 20}), fault.Invalid, "can not be less than memory reservation"},
		{"swap alone", res(container.Resources{MemorySwap: 1 << 30}), fault.Invalid, "You should always set the Memory limit when using Memoryswap limit, see usage"},
		{"swap below memory", res(container.Resources{Memory: 8 << 20, MemorySwap: 7 << 20}), fault.Invalid, "Minimum memoryswap limit should be larger than memory limit, see usage"},
		{"no swap limit", func(r *container.Request, h *Host) {
			r.Resources = container.Resources{Memory: 8 << 20, MemorySwap: 9 << 20}
			h.NoSwapLimit = true
		}, fault.Unsupported, "cannot limit swap"},
		{"cpus", func(r *container.Request, h *Host) { r.Resources.NanoCPUs, h.CPUs = 3e9, 2 }, fault.Invalid, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"},
		{"cpus small", res(container.Resources{NanoCPUs: 1}), fault.Invalid, "range of CPUs"},
		{"cpus and period", res(container.Resources{NanoCPUs: 1e9, CPUPeriod: 1000}), fault.Invalid, "Nano CPUs and CPU Period"},
		{"cpus and quota", res(container.Resources{NanoCPUs: 1e9, CPUQuota: 1000}), fault.Invalid, "Nano CPUs and CPU Quota"},
		{"period", res(container.Resources{CPUPeriod: 999}), fault.Invalid, "CPU cfs period"},
		{"quota", res(container.Resources{CPUQuota: 999}), fault.Invalid, "CPU cfs quota"},
		{"shares", res(container.Resources{CPUShares: -1}), fault.Invalid, "CPU shares"},
		{"cpuset huge", res(container.Resources{CpusetCPUs: "1-999999999999"}), fault.Invalid, "Invalid value 1-999999999999 for cpuset-cpus"},
		{"cpuset absent", func(r *container.Request, h *Host) { r.Resources.CpusetCPUs, h.OnlineCPUs = "0-9", "0-1" }, fault.Invalid, "Requested CPUs are not available - requested 0-9, available: 0-1"},
		{"cpuset mems", func(r *container.Request, h *Host) { r.Resources.CpusetMems, h.OnlineMems = "1", "0" }, fault.Invalid, "Requested memory nodes are not available"},
		{"pids", res(container.Resources{PidsLimit: -2}), fault.Invalid, "invalid pids limit -2"},
		{"blkio", res(container.Resources{BlkioWeight: 5}), fault.Invalid, "Range of blkio weight is from 10 to 1000"},
		{"ulimit", set(func(r *container.Request) { r.Ulimits = []container.Ulimit{{Name: "nofile", Soft: 2, Hard: 1}} }), fault.Invalid, "must be less than or equal"},

		{"no profile prepared", func(_ *container.Request, h *Host) { h.Seccomp = nil }, fault.Internal, "no seccomp profile"},
		{"profile without seccomp", func(r *container.Request, h *Host) { r.Security.Seccomp, h.NoSeccomp = "{}", true }, fault.Unsupported, "seccomp is not enabled"},
		{"apparmor", set(func(r *container.Request) { r.Security.AppArmor = "x" }), fault.Unsupported, "AppArmor is not enabled"},
		{"label without selinux", label("type:x_t"), fault.Unsupported, "SELinux is not enabled"},
		{"label unknown", label("zz"), fault.Invalid, `bad label option "zz"`},
		{"label empty", label("type:"), fault.Invalid, "bad label option"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := try(tt.change)
			if err == nil {
				t.Fatalf("accepted: %+v", s)
			}
			if fault.KindOf(err) != tt.class || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %q (%v), want %q (%v)", err, fault.KindOf(err), tt.text, tt.class)
			}
		})
	}
}

func mountAt(s *specs.Spec, dest string) *specs.Mount {
	for i := range s.Mounts {
		if s.Mounts[i].Destination == dest {
			return &s.Mounts[i]
		}
	}
	return nil
}

func TestMountOrder(t *testing.T) {
	s := must(t, func(r *container.Request, h *Host) {
		h.Hosts, h.InitPath, r.Init = "/h", "/i", true
		for _, target := range []string{"/a/b/c", "/a", "/z/y", "/etc", "/a/b"} {
			r.Mounts = append(r.Mounts, container.Mount{Type: "bind", Source: "/s", Target: target})
		}
	})
	var got []string
	for _, m := range s.Mounts {
		got = append(got, m.Destination)
	}
	want := []string{
		"/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm",
		"/a", "/etc", "/z/y", "/a/b", "/etc/hosts", "/a/b/c", "/sbin/berth-init",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A mount of the user's takes the place of a default and of the engine's files.
func TestMountOverride(t *testing.T) {
	s := must(t, func(r *container.Request, h *Host) {
		h.Hosts, h.ResolvConf = "/engine/hosts", "/engine/resolv.conf"
		r.Mounts = []container.Mount{
			{Type: "bind", Source: "/my/dev", Target: "/dev"},
			{Type: "bind", Source: "/my/sys", Target: "/sys", ReadOnly: true},
			{Type: "bind", Source: "/my/hosts", Target: "/etc/hosts"},
		}
	})
	for _, gone := range []string{"/dev/pts", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup"} {
		if mountAt(s, gone) != nil {
			t.Errorf("%s is still mounted", gone)
		}
	}
	for dest, source := range map[string]string{"/dev": "/my/dev", "/sys": "/my/sys", "/etc/hosts": "/my/hosts", "/etc/resolv.conf": "/engine/resolv.conf"} {
		if m := mountAt(s, dest); m == nil || m.Source != source {
			t.Errorf("%s: %+v", dest, m)
		}
	}
	s = must(t, func(r *container.Request, h *Host) {
		r.Mounts = []container.Mount{
			{Type: "bind", Source: "/my/cgroup", Target: "/sys/fs/cgroup"},
			{Type: "bind", Source: "/my/uptime", Target: "/proc/uptime"},
		}
	})
	if m := mountAt(s, "/sys/fs/cgroup"); m == nil || m.Source != "/my/cgroup" || mountAt(s, "/sys") == nil || mountAt(s, "/proc/uptime") == nil {
		t.Errorf("got %+v", s.Mounts)
	}
}

func TestMountOptions(t *testing.T) {
	for _, tt := range []struct {
		m    container.Mount
		rro  bool
		want string
		root string
	}{
		{container.Mount{Type: "bind"}, true, "rbind,rprivate", ""},
		{container.Mount{Type: "bind", ReadOnly: true}, true, "rbind,rro,rprivate", ""},
		{container.Mount{Type: "bind", ReadOnly: true}, false, "rbind,ro,rprivate", ""},
		{container.Mount{Type: "bind", ReadOnly: true, Recursive: "writable"}, true, "rbind,ro,rprivate", ""},
		{container.Mount{Type: "bind", ReadOnly: true, Recursive: "disabled"}, true, "bind,ro,rprivate", ""},
		{container.Mount{Type: "bind", ReadOnly: true, Recursive: "readonly"}, true, "rbind,rro,rprivate", ""},
		{container.Mount{Type: "bind", Propagation: "shared"}, true, "rbind,shared", "shared"},
		{container.Mount{Type: "bind", Propagation: "rshared"}, true, "rbind,rshared", "shared"},
		{container.Mount{Type: "bind", Propagation: "slave"}, true, "rbind,slave", "rslave"},
		{container.Mount{Type: "tmpfs"}, true, "noexec,nosuid,nodev,rprivate", ""},
		{container.Mount{Type: "tmpfs", Options: []string{"exec", "size=1m", "ro"}}, true, "nosuid,nodev,rprivate,exec,size=1m,ro", ""},
		{container.Mount{Type: "tmpfs", Size: 4096, Mode: 0o1777, ReadOnly: true}, true, "noexec,nosuid,nodev,rprivate,ro,size=4096,mode=1777", ""},
	} {
		t.Run(tt.want, func(t *testing.T) {
			s := must(t, func(r *container.Request, h *Host) {
				tt.m.Source, tt.m.Target, h.RecursiveReadOnly = "/s", "/t", tt.rro
				r.Mounts = []container.Mount{tt.m}
			})
			if got := strings.Join(mountAt(s, "/t").Options, ","); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if s.Linux.RootfsPropagation != tt.root {
				t.Errorf("root propagation %q, want %q", s.Linux.RootfsPropagation, tt.root)
			}
		})
	}
}

func TestWritableKernelFiles(t *testing.T) {
	for _, tt := range []struct {
		name        string
		change      func(*container.Request, *Host)
		sys, cgroup bool // read-only?
	}{
		{"default", func(*container.Request, *Host) {}, true, true},
		{"privileged", func(r *container.Request, _ *Host) { r.Privileged = true }, false, false},
		{"privileged, read-only root", func(r *container.Request, _ *Host) { r.Privileged, r.ReadOnly = true, true }, false, false},
		{"writable-cgroups", func(r *container.Request, _ *Host) { r.Security.WritableCgroups = true }, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := must(t, tt.change)
			if got := slices.Contains(mountAt(s, "/sys").Options, "ro"); got != tt.sys {
				t.Errorf("/sys read-only: %v", got)
			}
			if got := slices.Contains(mountAt(s, "/sys/fs/cgroup").Options, "ro"); got != tt.cgroup {
				t.Errorf("/sys/fs/cgroup read-only: %v", got)
			}
		})
	}
}

func TestShm(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*container.Request, *Host)
		want   string
	}{
		{"default", func(*container.Request, *Host) {}, "tmpfs size=67108864"},
		{"sized", func(r *container.Request, _ *Host) { r.ShmSize = 4096 }, "tmpfs size=4096"},
		{"none", func(r *container.Request, _ *Host) { r.IPC = "none" }, ""},
		{"host", func(r *container.Request, _ *Host) { r.IPC = "host" }, "/dev/shm rprivate"},
		{"shareable", func(r *container.Request, h *Host) { r.IPC, h.ShmPath = "shareable", "/x/shm" }, "/x/shm rprivate"},
		{"private has its own", func(r *container.Request, h *Host) { h.ShmPath = "/x/shm" }, "tmpfs size=67108864"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := mountAt(must(t, tt.change), "/dev/shm")
			got := ""
			if m != nil {
				got = m.Options[len(m.Options)-1]
				if m.Type == "bind" {
					got = m.Source + " " + got
				} else {
					got = m.Type + " " + got
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestHostname(t *testing.T) {
	joined := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "/n"}
	for _, tt := range []struct {
		name      string
		change    func(*container.Request, *Host)
		spec, env string
	}{
		{"default", func(*container.Request, *Host) {}, "0123456789ab", "0123456789ab"},
		{"asked", func(r *container.Request, _ *Host) { r.Hostname = "web.example.org" }, "web.example.org", "web.example.org"},
		{"machine's network", func(r *container.Request, h *Host) { r.Network, h.Hostname = "host", "machine" }, "machine", "machine"},
		{"machine's network, asked", func(r *container.Request, h *Host) { r.Network, r.Hostname, h.Hostname = "host", "x", "machine" }, "x", "x"},
		{"joined network", func(r *container.Request, h *Host) {
			r.Network, h.JoinedHostname, h.Namespaces = "container:w", "w", joined
		}, "w", "w"},
		{"machine's UTS", func(r *container.Request, h *Host) { r.UTS, h.Hostname = "host", "machine" }, "", "machine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := must(t, tt.change)
			if s.Hostname != tt.spec || !slices.Contains(s.Process.Env, "HOSTNAME="+tt.env) {
				t.Errorf("got %q, %q", s.Hostname, s.Process.Env)
			}
		})
	}
}

func TestResources(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    container.Resources
		h    Host
		want string // JSON without devices
	}{
		{"none", container.Resources{}, Host{}, `{"pids":{"limit":4096}}`},
		{"memory", container.Resources{Memory: 8 << 20}, Host{}, `{"memory":{"limit":8388608,"swap":16777216},"pids":{"limit":4096}}`},
		{"memory, no swap limit", container.Resources{Memory: 8 << 20}, Host{NoSwapLimit: true}, `{"memory":{"limit":8388608},"pids":{"limit":4096}}`},
		{"no swap", container.Resources{Memory: 8 << 20, MemorySwap: 8 << 20}, Host{}, `{"memory":{"limit":8388608,"swap":8388608},"pids":{"limit":4096}}`},
		{"unlimited swap", container.Resources{Memory: 8 << 20, MemorySwap: -1}, Host{}, `{"memory":{"limit":8388608,"swap":-1},"pids":{"limit":4096}}`},
		{"huge memory", container.Resources{Memory: math.MaxInt64 - 1}, Host{}, `{"memory":{"limit":9223372036854775806,"swap":-1},"pids":{"limit":4096}}`},
		{"cpus", container.Resources{NanoCPUs: 15e8}, Host{CPUs: 2}, `{"cpu":{"quota":150000,"period":100000},"pids":{"limit":4096}}`},
		{"least cpus", container.Resources{NanoCPUs: 1e7}, Host{CPUs: 2}, `{"cpu":{"quota":1000,"period":100000},"pids":{"limit":4096}}`},
		{"quota", container.Resources{CPUQuota: 5000, CPUPeriod: 10000}, Host{}, `{"cpu":{"quota":5000,"period":10000},"pids":{"limit":4096}}`},
		{"shares", container.Resources{CPUShares: 1}, Host{}, `{"cpu":{"shares":2},"pids":{"limit":4096}}`},
		{"pids off", container.Resources{PidsLimit: -1}, Host{}, `{"pids":{"limit":-1}}`},
		{"cpuset", container.Resources{CpusetCPUs: "0,1", CpusetMems: "0"}, Host{OnlineCPUs: "0-3", OnlineMems: "0"}, `{"cpu":{"cpus":"0,1","mems":"0"},"pids":{"limit":4096}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := must(t, func(r *container.Request, h *Host) {
				r.Resources = tt.r
				h.CPUs, h.OnlineCPUs, h.OnlineMems, h.NoSwapLimit = tt.h.CPUs, tt.h.OnlineCPUs, tt.h.OnlineMems, tt.h.NoSwapLimit
			})
			s.Linux.Resources.Devices = nil
			got, _ := json.Marshal(s.Linux.Resources)
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestSysctls(t *testing.T) {
	ping := map[string]string{"net.ipv4.ping_group_range": "0 2147483647", "net.ipv4.ip_unprivileged_port_start": "0"}
	if d := cmp.Diff(ping, must(t, func(*container.Request, *Host) {}).Linux.Sysctl); d != "" {
		t.Error(d)
	}
	if got := must(t, func(r *container.Request, _ *Host) { r.Network = "host" }).Linux.Sysctl; got != nil {
		t.Errorf("the machine's network: %v", got)
	}
	got := must(t, func(r *container.Request, _ *Host) {
		r.Sysctls = map[string]string{
			"net.ipv4.ip_unprivileged_port_start": "1024", "net/core/somaxconn": "9",
			"kernel.shmmax": "1", "fs.mqueue.msg_max": "2", "kernel.domainname": "d",
			"net/ipv4/conf/eth0.1/rp_filter": "1",
		}
	}).Linux.Sysctl
	want := map[string]string{
		"net.ipv4.ping_group_range": "0 2147483647", "net.ipv4.ip_unprivileged_port_start": "1024", "net.core.somaxconn": "9",
		"kernel.shmmax": "1", "fs.mqueue.msg_max": "2", "kernel.domainname": "d", "net/ipv4/conf/eth0.1/rp_filter": "1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestConfine(t *testing.T) {
	profile := &specs.LinuxSeccomp{DefaultAction: specs.ActKill}
	off := false
	type result struct {
		masks             bool
		seccomp           bool
		apparmor, selinux string
	}
	for _, tt := range []struct {
		name string
		priv bool
		sec  container.Security
		h    Host
		want result
	}{
		{"default", false, container.Security{}, Host{}, result{true, true, "", ""}},
		{"kernel without seccomp", false, container.Security{}, Host{NoSeccomp: true}, result{true, false, "", ""}},
		{"unconfined", false, container.Security{Seccomp: "unconfined", AppArmor: "unconfined", SystemPathsHidden: &off, Label: []string{"disable"}}, Host{AppArmor: "d", ProcessLabel: "u:r:t:s0"}, result{false, false, "unconfined", ""}},
		{"privileged", true, container.Security{}, Host{AppArmor: "d", ProcessLabel: "u:r:t:s0"}, result{false, false, "unconfined", ""}},
		{"privileged with profiles", true, container.Security{Seccomp: "{}", AppArmor: "x"}, Host{AppArmor: "d"}, result{false, true, "x", ""}},
		{"LSMs", false, container.Security{Label: []string{"type:x_t", "level:s0:c1,c2"}}, Host{AppArmor: "d", ProcessLabel: "u:r:t:s0:c3", MountLabel: "m"}, result{true, true, "d", "u:r:x_t:s0:c1,c2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := must(t, func(r *container.Request, h *Host) {
				r.Privileged, r.Security = tt.priv, tt.sec
				h.Seccomp, h.NoSeccomp, h.AppArmor = profile, tt.h.NoSeccomp, tt.h.AppArmor
				h.ProcessLabel, h.MountLabel = tt.h.ProcessLabel, tt.h.MountLabel
			})
			got := result{len(s.Linux.MaskedPaths) > 0, s.Linux.Seccomp != nil, s.Process.ApparmorProfile, s.Process.SelinuxLabel}
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if got.masks != (len(s.Linux.ReadonlyPaths) > 0) {
				t.Error("masks without read-only paths, or the reverse")
			}
		})
	}
}

func TestDeviceRulesDeny(t *testing.T) {
	s := must(t, func(*container.Request, *Host) {})
	first := s.Linux.Resources.Devices[0]
	if first.Allow || first.Type != "a" || first.Access != "rwm" {
		t.Errorf("the first rule is %+v", first)
	}
	for _, r := range s.Linux.Resources.Devices[1:] {
		if r.Access != "m" && (*r.Major == 10 || *r.Major == -1) {
			t.Errorf("too much is allowed: %+v", r)
		}
	}
}

// A spec shares no memory with the request that it came from.
func TestSpecIsACopy(t *testing.T) {
	r := container.Request{
		Args: []string{"a"}, Env: []string{"A=1"}, Annotations: map[string]string{"a": "b"}, Sysctls: map[string]string{"net.a": "1"},
		Mounts:    []container.Mount{{Type: "tmpfs", Target: "/t", Options: []string{"ro"}}},
		Resources: container.Resources{Memory: 8 << 20, MemorySwap: 8 << 20}, OOMScoreAdj: 5,
	}
	before, _ := json.Marshal(r)
	s, err := Spec(&r, nil, testHost())
	if err != nil {
		t.Fatal(err)
	}
	s.Process.Args[0], s.Process.Env[0], s.Annotations["a"], s.Linux.Sysctl["net.a"] = "x", "x", "x", "x"
	*s.Process.OOMScoreAdj, *s.Linux.Resources.Memory.Limit, *s.Linux.Resources.Memory.Swap = 9, 9, 9
	mountAt(s, "/t").Options[0] = "x"
	s.Process.Capabilities.Bounding[0] = "x"
	if s.Process.Capabilities.Effective[0] == "x" {
		t.Error("the sets share memory")
	}
	if after, _ := json.Marshal(r); string(before) != string(after) {
		t.Errorf("the request changed:\n%s\n%s", before, after)
	}
}

func TestStopSignal(t *testing.T) {
	img := testImage()
	for _, tt := range []struct {
		req, image string
		want       int
	}{{"", "", 15}, {"", "SIGQUIT", 3}, {"SIGKILL", "SIGQUIT", 9}, {"", "RTMIN+3", 37}, {"", "$(x)", 0}} {
		img.Config.StopSignal = tt.image
		got, err := StopSignal(&container.Request{StopSignal: tt.req}, img)
		if got != tt.want || (err == nil) != (tt.want > 0) {
			t.Errorf("%q %q: %d, %v, want %d", tt.req, tt.image, got, err, tt.want)
		}
	}
}

// Whatever a stored request says, Spec gives an answer and the answer keeps
// the rules that no option lifts.
func FuzzSpec(f *testing.F) {
	f.Add([]byte(`{"Args":["x"]}`), []byte(`{}`))
	f.Add([]byte(`{"Privileged":true,"Mounts":[{"Type":"bind","Source":"/a","Target":"/proc/x"}],"Sysctls":{"net.a":"1"}}`), []byte(`{"config":{"Cmd":["a"],"Env":["A"]}}`))
	f.Add([]byte(`{"Entrypoint":[""],"Hostname":"a","Devices":[{}],"Resources":{"Memory":1}}`), []byte(`{"config":{"WorkingDir":"../x"}}`))
	f.Fuzz(func(t *testing.T, req, image []byte) {
		var r container.Request
		var img ocispec.Image
		if json.Unmarshal(req, &r) != nil || json.Unmarshal(image, &img) != nil {
			t.Skip()
		}
		s, err := Spec(&r, &img, testHost())
		if err != nil {
			return
		}
		if s.Process.Cwd == "" || s.Process.Cwd[0] != '/' || len(s.Process.Args) == 0 {
			t.Errorf("process %+v", s.Process)
		}
		for _, m := range s.Mounts {
			if m.Destination == "/" || strings.HasPrefix(m.Destination, "/proc/") && !slices.Contains(procFiles(), m.Destination) {
				t.Errorf("mount %+v", m)
			}
		}
		if s.Linux.Seccomp == nil && !r.Privileged && r.Security.Seccomp != "unconfined" {
			t.Error("no seccomp")
		}
		if !r.Privileged && s.Linux.Resources.Devices[0].Allow {
			t.Error("devices open")
		}
		if text, _ := json.Marshal(s); strings.Contains(string(text), `\u0000`) && !strings.Contains(string(text), `\\u0000`) {
			t.Errorf("NUL in %s", text)
		}
	})
}
