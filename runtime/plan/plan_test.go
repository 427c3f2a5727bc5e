package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

func TestCompileRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*specs.Spec)
		want   string
	}{
		{"no process", func(s *specs.Spec) { s.Process = nil }, "process: missing"},
		{"no args", func(s *specs.Spec) { s.Process.Args = nil }, "process.args"},
		{"relative cwd", func(s *specs.Spec) { s.Process.Cwd = "x" }, "process.cwd"},
		{"no linux", func(s *specs.Spec) { s.Linux = nil }, "linux: missing"},
		{"masks on the machine", func(s *specs.Spec) { s.Linux.Namespaces = s.Linux.Namespaces[:1] }, "linux.maskedPaths: needs a mount namespace"},
		{"views on the machine", func(s *specs.Spec) {
			s.Linux.Namespaces, s.Linux.MaskedPaths = s.Linux.Namespaces[:1], nil
			s.Linux.ReadonlyPaths = []string{"/proc/sys"}
		}, "linux.readonlyPaths: needs a mount namespace"},
		{"mounts of a user on the machine", func(s *specs.Spec) {
			s.Linux.Namespaces, s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []specs.LinuxNamespace{{Type: specs.UserNamespace}}, nil, nil
			s.Linux.UIDMappings, s.Linux.GIDMappings = mapOf(0, 1, 1), mapOf(0, 1, 1)
		}, "mounts, in a user namespace: needs a mount namespace"},
		{"relative namespace", func(s *specs.Spec) { s.Linux.Namespaces[0].Path = "ns/x" }, "linux.namespaces[0].path"},
		{"unknown namespace", func(s *specs.Spec) { s.Linux.Namespaces[1].Type = "moon" }, "linux.namespaces[1].type"},
		{"twice", func(s *specs.Spec) { s.Linux.Namespaces[1].Type = s.Linux.Namespaces[0].Type }, "linux.namespaces[1].type"},
		{"unknown limit", func(s *specs.Spec) { s.Process.Rlimits[0].Type = "RLIMIT_FUN" }, "process.rlimits[0].type"},
		{"limit twice", func(s *specs.Spec) { s.Process.Rlimits = append(s.Process.Rlimits, s.Process.Rlimits[0]) }, "process.rlimits[1].type"},
		{"soft above hard", func(s *specs.Spec) { s.Process.Rlimits[0].Soft = 5000 }, "process.rlimits[0]"},
		{"host's sysctl", func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"kernel.core_pattern": "|/x"} }, "not namespaced"},
		{"sysctl dots", func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net/../kernel/core_pattern": "x"} }, "not a sysctl name"},
		{"sysctl newline", func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.x": "1\n2"} }, "line break"},
		{"mount on root", func(s *specs.Spec) { s.Mounts[0].Destination = "/" }, "mounts[0].destination"},
		{"bind of nothing", func(s *specs.Spec) { s.Mounts[0] = specs.Mount{Destination: "/x", Type: "bind"} }, "mounts[0].source"},
		{"device type", func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "z"}} }, "linux.devices[0].type"},
		{"device path", func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "x", Type: "c"}} }, "linux.devices[0].path"},
		{"map without a map", func(s *specs.Spec) { s.Mounts[0].Options = []string{"idmap"} }, "mounts[0].options: idmap"},
		{"map option", func(s *specs.Spec) { s.Mounts[0].Options = []string{"ro", "idmap=uids=0-1"} }, "mounts[0].options[1]"},
		{"map option of what", func(s *specs.Spec) { s.Mounts[0].Options = []string{"ridmap=pids=0-1-2"} }, "neither uids nor gids"},
		{"map option in no container", func(s *specs.Spec) { s.Mounts[0].Options = []string{"idmap=uids=@0-1-2"} }, "the container's mapping"},
		{"half a map", func(s *specs.Spec) { s.Mounts[0].UIDMappings = mapOf(0, 1, 1) }, "mounts[0].gidMappings"},
		{"other half", func(s *specs.Spec) { s.Mounts[0].GIDMappings = mapOf(0, 1, 1) }, "mounts[0].uidMappings"},
		{"map of nothing", func(s *specs.Spec) {
			s.Mounts[0].UIDMappings, s.Mounts[0].GIDMappings = mapOf(0, 1, 0), mapOf(0, 1, 1)
		}, "mounts[0].uidMappings[0].size"},
		{"map beyond the end", func(s *specs.Spec) {
			s.Mounts[0].UIDMappings, s.Mounts[0].GIDMappings = mapOf(0, 1, 1), mapOf(5, 1<<32-1, 1)
		}, "mounts[0].gidMappings[0].size"},
		{"map twice", func(s *specs.Spec) {
			s.Mounts[0].UIDMappings, s.Mounts[0].GIDMappings = mapOf(0, 1, 1), append(mapOf(0, 1, 9), mapOf(8, 100, 1)...)
		}, "mounts[0].gidMappings[1]"},
		{"map without a user namespace", func(s *specs.Spec) { s.Linux.UIDMappings = mapOf(0, 1, 1) }, "linux.uidMappings"},
		{"user namespace without a map", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		}, "linux.uidMappings"},
		{"variable without a value", func(s *specs.Spec) { s.Process.Env = []string{"A=", "B"} }, `process.env[1]: "B" is not NAME=VALUE`},
		{"variable without a name", func(s *specs.Spec) { s.Process.Env = []string{"=x"} }, `process.env[0]: "=x" is not`},
		{"user without a map", func(s *specs.Spec) { inUserns(s); s.Process.User.UID = 10 }, "process.user.uid: 10 is not in linux.uidMappings"},
		{"group without a map", func(s *specs.Spec) { inUserns(s); s.Process.User.GID = 11 }, "process.user.gid: 11"},
		{"groups without a map", func(s *specs.Spec) { inUserns(s); s.Process.User.AdditionalGids = []uint32{9, 12} }, "process.user.additionalGids[1]: 12"},
		{"personality", func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: "SOLARIS"} }, "linux.personality.domain"},
		{"personality flag", func(s *specs.Spec) {
			s.Linux.Personality = &specs.LinuxPersonality{Domain: "LINUX", Flags: []specs.LinuxPersonalityFlag{"X"}}
		}, "linux.personality.flags[0]"},
		{"io class", func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{Class: "X"} }, "process.ioPriority.class"},
		{"io level", func(s *specs.Spec) {
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: "IOPRIO_CLASS_BE", Priority: 8}
		}, "process.ioPriority.priority"},
		{"scheduler policy", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_ISO"} }, "process.scheduler.policy"},
		{"scheduler nice", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_BATCH", Nice: 20} }, "process.scheduler.nice"},
		{"scheduler priority", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_OTHER", Priority: 1} }, "process.scheduler.priority"},
		{"scheduler no priority", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_RR"} }, "process.scheduler.priority"},
		{"scheduler period", func(s *specs.Spec) {
			s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_RR", Priority: 1, Period: 1}
		}, "SCHED_DEADLINE"},
		{"scheduler flag", func(s *specs.Spec) {
			s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_OTHER", Flags: []specs.LinuxSchedulerFlag{"X"}}
		}, "process.scheduler.flags[0]"},
		{"deadline and cpus", func(s *specs.Spec) {
			s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_DEADLINE", Runtime: 1, Deadline: 2, Period: 3}
			s.Linux.Resources = &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}}
		}, "process scheduler can't be used together with AllowedCPUs"},
		{"affinity", func(s *specs.Spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0-x"} }, "process.execCPUAffinity.initial"},
		{"final affinity", func(s *specs.Spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{Final: "3-1"} }, "process.execCPUAffinity.final"},
		{"memory mode", memory("MPOL_MOON", ""), "invalid memory policy mode"},
		{"memory flag", memory("MPOL_BIND", "0", "MPOL_F_X"), "linux.memoryPolicy.flags[0]: invalid memory policy flag"},
		{"memory node", memory("MPOL_BIND", "0-"), "invalid memory policy node"},
		{"memory nodes", memory("MPOL_DEFAULT", "0-1"), "mode requires 0 nodes but got 2"},
		{"memory no node", memory("MPOL_INTERLEAVE", ""), "linux.memoryPolicy.nodes"},
		{"memory flags", memory("MPOL_BIND", "0", "MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"), "exclude"},
		{"memory flag of another", memory("MPOL_INTERLEAVE", "0", "MPOL_F_NUMA_BALANCING"), "MPOL_BIND"},
		{"memory flag of none", memory("MPOL_LOCAL", "", "MPOL_F_STATIC_NODES"), "takes none"},
		{"tmpcopyup of a bind", func(s *specs.Spec) { s.Mounts[0].Options = []string{"rbind", "tmpcopyup"}; s.Mounts[0].Source = "/x" }, "mounts[0].options"},
		{"inside proc", func(s *specs.Spec) { s.Mounts[1].Destination = "/./proc/../proc/sys" }, "mounts[1].destination"},
		{"other on proc", func(s *specs.Spec) { s.Mounts[1].Destination = "proc" }, "mounts[1].type"},
		{"long name", func(s *specs.Spec) { s.Hostname = strings.Repeat("x", 65) }, "hostname"},
		{"domain of the host", func(s *specs.Spec) {
			s.Hostname, s.Domainname = "", "x"
			s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}}
		}, "domainname"},
		{"offsets of nothing", func(s *specs.Spec) { s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1}} }, "linux.timeOffsets"},
		{"offset of a clock", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"wall": {Secs: 1}}
		}, `linux.timeOffsets["wall"]`},
		{"offset of a second", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Nanosecs: 1e9}}
		}, "nanosecs"},
		{"relative hook", func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/x"}, {Path: "x"}}} }, "hooks.createContainer[1].path"},
		{"hook without time", func(s *specs.Spec) { s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/x", Timeout: new(int)}}} }, "hooks.poststop[0].timeout"},
		{"oom score", func(s *specs.Spec) { n := 1001; s.Process.OOMScoreAdj = &n }, "process.oomScoreAdj"},
		{"device number", func(s *specs.Spec) {
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "c", Major: 1 << 32}}
		}, "linux.devices[0].major"},
		{"negative device", func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "b", Minor: -1}} }, "linux.devices[0].minor"},
		{"devices to nowhere", func(s *specs.Spec) {
			s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.UTSNamespace}}
			s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth0": {}}
		}, "linux.netDevices"},
		{"device name", devices("a/b", ""), `linux.netDevices["a/b"]`},
		{"new device name", devices("eth0", "sixteen.letters."), `linux.netDevices["eth0"].name`},
		{"device lo", devices("eth0", "lo"), "lo is in every"},
		{"device twice", devices("eth0", "x", "x", ""), "too"},
		{"NUL in arguments", func(s *specs.Spec) { s.Process.Args = []string{"a\x00b"} }, "NUL"},
		{"NUL in environment", func(s *specs.Spec) { s.Process.Env = []string{"A=\x00"} }, "NUL"},
		{"NUL in a mount", func(s *specs.Spec) { s.Mounts[0].Destination = "/a\x00b" }, "NUL"},
		{"propagation", func(s *specs.Spec) { s.Linux.RootfsPropagation = "wild" }, "linux.rootfsPropagation"},
		{"group of caches", func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "a/b"} }, "linux.intelRdt.closID"},
		{"hostname of the host", func(s *specs.Spec) {
			s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}}
		}, "hostname"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := readSpec(t, "default.json")
			tt.change(s)
			err := verified(Compile(s, nil, goldenFacts()))
			if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an invalid %q", err, tt.want)
			}
		})
	}
}

func devices(pairs ...string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Linux.NetDevices = map[string]specs.LinuxNetDevice{}
		for i := 0; i < len(pairs); i += 2 {
			s.Linux.NetDevices[pairs[i]] = specs.LinuxNetDevice{Name: pairs[i+1]}
		}
	}
}

func memory(mode specs.MemoryPolicyModeType, nodes string, flags ...specs.MemoryPolicyFlagType) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: mode, Nodes: nodes, Flags: flags}
	}
}

func TestMapOption(t *testing.T) {
	c := &compiler{spec: readSpec(t, "userns.json")}
	uids, gids, err := c.mapOption("uids=0-1000-10#20-5000-1;gids=@0-7-10")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := mapWord(uids)+"/"+mapWord(gids), "0-1000-10,20-5000-1/0-100007-10"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestParseList(t *testing.T) {
	for _, tt := range []struct {
		list string
		mask []byte
		n    int
	}{
		{"", nil, 0},
		{"0", []byte{1, 0, 0, 0, 0, 0, 0, 0}, 1},
		{"0-3, 2,8-9", []byte{15, 3, 0, 0, 0, 0, 0, 0}, 6},
		{"64", []byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, 1},
	} {
		if mask, n, err := parseList(tt.list, 128); !bytes.Equal(mask, tt.mask) || n != tt.n || err != nil {
			t.Errorf("%q: %v %d %v, want %v %d", tt.list, mask, n, err, tt.mask, tt.n)
		}
	}
	for _, bad := range []string{",", "1-", "-1", "a", "128", "0-99999999999", "3-2", "1--2"} {
		if mask, _, err := parseList(bad, 128); err == nil {
			t.Errorf("%q: %v", bad, mask)
		}
	}
}

func mapOf(container, host, size uint32) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: container, HostID: host, Size: size}}
}

// inUserns has ids 0 to 9.
func inUserns(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings, s.Linux.GIDMappings = mapOf(0, 1000, 10), mapOf(0, 1000, 10)
}

// A broken planner must not get past the verifier.
func TestVerify(t *testing.T) {
	exec := Exec{Paths: []string{"/x"}, Args: []string{"x"}}
	closed := OnlyFDs{First: 3}
	for _, tt := range []struct {
		name  string
		steps []Step
		want  string
	}{
		{"good", []Step{closed, Chdir{Path: "/"}, exec}, ""},
		{"no exec", []Step{closed}, "does not end in exec"},
		{"after exec", []Step{exec, Umask{}}, "comes after exec"},
		{"empty slot", []Step{JoinNamespaces{From: FirstFree, What: "x"}, exec}, "empty slot"},
		{"descriptors at chdir", []Step{Chdir{Path: "/"}, exec}, "still open"},
		{"points", []Step{WaitFor{Ready}, WaitFor{Born}, exec}, "out of order"},
		{"after the filter", []Step{Seccomp{}, Umask{}, exec}, "after the filter"},
		{"wait after the filter", []Step{Seccomp{}, WaitFor{Ready}, exec}, "after the filter"},
		{"wait for a listener", []Step{Seccomp{Listener: 3}, WaitFor{Listening}, SetCaps{}, WaitFor{Ready}, exec}, ""},
		{"umask after a listener", []Step{Seccomp{Listener: 3}, Umask{}, exec}, "after the filter"},
		{"map of owners", []Step{Mount{Bind: true, Source: "/a", To: "/b", Users: FirstFree}, exec}, "map of owners"},
		{"map of owners early", []Step{Bring{Mount{Bind: true, Source: "/a", Users: FirstFree, Have: FirstHigh}}, exec}, "map of owners"},
		{"capset after the filter", []Step{Seccomp{}, SetCaps{}, exec}, "after the filter"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Plan{Phases: []Phase{{"test", tt.steps}}}
			err := verified(p, nil)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// What a filter without no_new_privs leaves to be called is exec.
func TestFilterComesLast(t *testing.T) {
	s := readSpec(t, "userns.json")
	p, err := Compile(s, nil, goldenFacts())
	if err != nil {
		t.Fatal(err)
	}
	after := false
	var calls []string
	for i := range p.Steps() {
		step, _ := p.At(i)
		if after {
			for _, c := range step.Calls(nil) {
				calls = append(calls, c.Name)
			}
		}
		if _, ok := step.(Seccomp); ok {
			after = true
		}
	}
	if got := strings.Join(calls, " "); got != "execve" {
		t.Errorf("after the filter: %q, want execve", got)
	}
}

// No specification may make the planner panic, and no plan may break its own rules.
func FuzzCompile(f *testing.F) {
	for _, name := range []string{"default.json", "userns.json", "joined.json", "mapped.json", "shared.json", "unmounted.json", "machine.json"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s specs.Spec
		if json.Unmarshal(data, &s) != nil {
			return
		}
		p, err := Compile(&s, nil, goldenFacts())
		if err := verified(p, err); err != nil {
			if errors.Is(err, fault.Internal) || strings.Contains(err.Error(), "verify plan") && !strings.Contains(err.Error(), "NUL") && !errors.Is(err, fault.TooLarge) {
				t.Errorf("a specification led to a broken plan: %v", err)
			}
			return
		}
		last, _ := p.At(p.Steps() - 1)
		if _, ok := last.(Exec); !ok {
			t.Errorf("the last step is %s", last)
		}
	})
}

// Labels of mounts mean nothing without SELinux, and are not for what the
// kernel labels by itself.
func TestMountLabel(t *testing.T) {
	s := readSpec(t, "default.json")
	s.Linux.MountLabel = "system_u:object_r:x:s0:c1,c2"
	for _, selinux := range []bool{false, true} {
		f := goldenFacts()
		f.SELinux = selinux
		p, err := Compile(s, nil, f)
		if err != nil {
			t.Fatal(err)
		}
		var with []string
		for i := range p.Steps() {
			step, _ := p.At(i)
			if m, ok := step.(Mount); ok && slices.Contains(m.New.Data, "context="+s.Linux.MountLabel) {
				with = append(with, m.To)
			}
		}
		want := ""
		if selinux {
			want = "/dev /dev/pts /dev/shm"
		}
		if got := strings.Join(with, " "); got != want {
			t.Errorf("SELinux %t: %q have the label, want %q", selinux, got, want)
		}
	}
}

// Without a cgroup namespace, a tree of version 2 is shown as a whole.
func TestCgroupTree(t *testing.T) {
	for _, private := range []bool{true, false} {
		s := readSpec(t, "default.json")
		f := goldenFacts()
		f.Doors, f.Cgroups = nil, []CgroupView{{Dir: "/sys/fs/cgroup/box/c1"}}
		want := f.Cgroups[0].Dir
		if !private {
			s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.CgroupNamespace })
			want = "/sys/fs/cgroup"
		}
		p, err := Compile(s, nil, f)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for i := range p.Steps() {
			step, _ := p.At(i)
			if m, ok := step.(Mount); ok && m.To == "/sys/fs/cgroup" {
				found = true
				if !m.Bind || m.Source != want {
					t.Errorf("private %t: %s, want it bound from %s", private, m, want)
				}
			}
		}
		if !found {
			t.Error("no mount of cgroups")
		}
	}
}

// Only below what was made just before there are no links.
func TestFresh(t *testing.T) {
	s := readSpec(t, "default.json")
	s.Mounts = []specs.Mount{
		{Destination: "/dev", Type: "tmpfs"},
		{Destination: "/dev/shm", Type: "tmpfs", Options: []string{"mode=1777"}},
		{Destination: "/devil", Type: "devpts"},
		{Destination: "/dev/host", Type: "bind", Source: "/x"},
		{Destination: "/dev/host/deep", Type: "devpts"},
		{Destination: "/copy", Type: "tmpfs", Options: []string{"tmpcopyup"}},
		{Destination: "/copy/pts", Type: "devpts"},
		{Destination: "/dev/shm/x", Type: "bind", Source: "/x"},
	}
	p, err := Compile(s, nil, goldenFacts())
	if err != nil {
		t.Fatal(err)
	}
	var fresh []string
	for i := range p.Steps() {
		step, _ := p.At(i)
		if m, ok := step.(Mount); ok && m.Fresh {
			fresh = append(fresh, m.To)
		}
	}
	if got, want := strings.Join(fresh, " "), "/dev/shm /dev/host /dev/shm/x"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// verified is the error of a plan that was made, or what is wrong with it.
func verified(p *Plan, err error) error {
	if err != nil {
		return err
	}
	if err := p.Lower(func(int, []Call) error { return nil }); err != nil {
		return err
	}
	return p.ends()
}

// What a call cannot skip over is refused, and not cut to eight bits.
func TestTooDeep(t *testing.T) {
	s := readSpec(t, "default.json")
	s.Mounts[0].Destination = strings.Repeat("/d", 70)
	if err := verified(Compile(s, nil, goldenFacts())); !errors.Is(err, fault.TooLarge) {
		t.Errorf("deep destination: %v", err)
	}
	p := readSpec(t, "default.json").Process
	p.Env = []string{"PATH=" + strings.Repeat("/bin:", 200)}
	if err := verified(Join(p, JoinFacts{Facts: goldenFacts()})); !errors.Is(err, fault.TooLarge) {
		t.Errorf("long PATH: %v", err)
	}
}

// The slots are descriptors up to 127: what cannot be is refused by its name.
func TestTooFewDescriptors(t *testing.T) {
	f := goldenFacts()
	f.Files = SlotBase + MaxSlots - 1
	_, err := Compile(readSpec(t, "default.json"), nil, f)
	if !errors.Is(err, fault.TooLarge) || !strings.Contains(err.Error(), "descriptors") {
		t.Errorf("compile: %v", err)
	}
	if _, err = Join(readSpec(t, "default.json").Process, JoinFacts{Facts: f}); !errors.Is(err, fault.TooLarge) {
		t.Errorf("join: %v", err)
	}
}

// What cannot be granted is a warning, not an error: config.md, "capabilities".
func TestCapabilityWarnings(t *testing.T) {
	s := readSpec(t, "default.json")
	some := []string{"CAP_CHOWN", "CAP_KILL", "CAP_FLY", "CAP_BPF"}
	s.Process.Capabilities = &specs.LinuxCapabilities{
		Bounding: some, Permitted: some, Effective: append(some, "CAP_SETUID"), Inheritable: []string{"CAP_KILL"}, Ambient: []string{"CAP_KILL", "CAP_CHOWN"},
	}
	f := goldenFacts()
	f.Caps = 1<<kernel.CapNumber("CAP_CHOWN") | 1<<kernel.CapNumber("CAP_KILL") | 1<<kernel.CapNumber("CAP_SETUID")
	p, err := Compile(s, nil, f)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ignoring unknown or unavailable capabilities: [CAP_FLY CAP_BPF]",
		"process.capabilities.effective: ignoring what permitted has not: CAP_SETUID",
		"can't raise ambient capability CAP_CHOWN: it is not both permitted and inheritable",
	}
	if diff := cmp.Diff(want, p.Warnings); diff != "" {
		t.Error(diff)
	}
	for i := range p.Steps() {
		switch step, _ := p.At(i); step := step.(type) {
		case SetCaps:
			if want := (SetCaps{0x21, 0x21, 0x20}); step != want {
				t.Errorf("%s, want %s", step, want)
			}
		case RaiseAmbient:
			if len(step.Caps) != 1 || capWord(step.Caps[0]) != "CAP_KILL" {
				t.Error(step)
			}
		}
	}
}
