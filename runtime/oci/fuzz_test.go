package oci

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
	"github.com/berth-engine/berth/runtime/launch"
	"github.com/berth-engine/berth/runtime/plan"
)

func seed(f *testing.F, edit ...func(*specs.Spec)) {
	f.Helper()
	for _, e := range append(edit, func(*specs.Spec) {}) {
		s := DefaultSpec()
		e(s)
		b, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

var fuzzFacts = plan.Facts{
	RootPath: "/rootfs", LastCap: 40, Arch: "amd64", Doors: []plan.Door{{Name: "pids", Dir: "/sys/fs/cgroup/pids/x"}}, AwaitStart: true,
	ParentAt: []plan.Point{plan.Born, plan.Rooted, plan.Ready},
	Cgroups:  []plan.CgroupView{{Name: "pids", Dir: "/sys/fs/cgroup/pids/x"}},
}

// FuzzSpec: whatever config.json holds, it is refused or has a plan that
// passes its own checks and can be laid out for the child.
func FuzzSpec(f *testing.F) {
	seed(f,
		func(s *specs.Spec) { s.Process = nil },
		func(s *specs.Spec) { s.Linux = nil },
		func(s *specs.Spec) { s.Root = nil },
		func(s *specs.Spec) { s.Process.Args = []string{""} },
		func(s *specs.Spec) { s.Process.Args = []string{"a\x00b"} },
		func(s *specs.Spec) { s.Process.User.UID = 1<<32 - 1 },
		func(s *specs.Spec) { s.Mounts[0].Destination = "../../x" },
		func(s *specs.Spec) { s.Mounts[0].Options = []string{"rbind", "idmap", "tmpcopyup"} },
		func(s *specs.Spec) { s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth0": {Name: "x"}} },
		func(s *specs.Spec) {
			s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: "MPOL_BIND", Nodes: "0-3,7"}
			s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_RR", Priority: 3}
			s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0", Final: "1-2"}
		},
		func(s *specs.Spec) {
			s.Mounts[1].Options = []string{"bind", "idmap=uids=0-1-2#5-6-7;gids=@0-1-2"}
			s.Mounts[1].Source = "/x"
		},
		func(s *specs.Spec) { s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_ERRNO"} },
		func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"} },
	)
	f.Add([]byte(`{"ociVersion":"1.0.0","process":{"user":{"uid":"0"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseSpec("config.json", text)
		if err != nil {
			return
		}
		setHome(s.Process, "/no/such/root")
		p, err := plan.Compile(s, nil, fuzzFacts)
		if err != nil {
			return
		}
		if _, err := launch.Assemble(p); err != nil && !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.TooLarge) {
			t.Fatal(err)
		}
	})
}

// FuzzReadAll: what is read without encoding/json is what that would read.
func FuzzReadAll(f *testing.F) {
	seed(f, func(s *specs.Spec) {
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_ERRNO", Flags: []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_LOG"}}
	})
	f.Add([]byte(`{"ociVersion":"1.0","linux":{"resources":{"devices":[{"major":-1}],"unified":{"a":null}},"timeOffsets":{"monotonic":{"secs":1}}},"Process":{"ARGS":["a"]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var got, want specs.Spec
		if !jsontext.Try(text, &got, readAll) {
			return
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("%q was read, encoding/json says %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzProcess is exec --process.
func FuzzProcess(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `{"args":["a"],"cwd":"/"}`, `{"args":[],"cwd":""}`, `{"terminal":true,"args":["a"],"cwd":"/x/y","consoleSize":{"height":1,"width":2}}`,
		`{"args":["a"],"cwd":"/","capabilities":{"bounding":["CAP_CHOWN","x"]},"rlimits":[{"type":"RLIMIT_NOFILE","soft":5,"hard":1}]}`,
		`{"args":["a"],"cwd":"/","env":["=","A","HOME=","PATH=::"],"user":{"additionalGids":[4294967295]}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseProcess("process.json", text)
		if err != nil {
			return
		}
		setHome(p, "/no/such/root")
		pl, err := plan.Join(p, plan.JoinFacts{Facts: fuzzFacts, Namespaces: unix.CLONE_NEWPID | unix.CLONE_NEWNS})
		if err != nil {
			return
		}
		if _, err := launch.Assemble(pl); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzState: a state file never leads to a signal for a process that is not
// proven to be the container's. The test's own process stands for all others:
// the files name its pid, and it is alive at the end.
func FuzzState(f *testing.F) {
	pid := os.Getpid()
	for _, s := range []State{
		{State: specs.State{ID: "x", Pid: pid}},
		{State: specs.State{ID: "x", Pid: -1}, StartTicks: 1},
		{State: specs.State{ID: "x", Pid: 1}, Cgroups: map[string]string{"pids": "/sys/fs/cgroup/pids/none", "": "/tmp"}},
		{State: specs.State{ID: "../x", Pid: 1 << 40}, Cgroups: map[string]string{"": "/"}},
	} {
		b, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"pid":1e9}`))
	f.Add([]byte(`[]`))
	r := &Runtime{Root: f.TempDir()}
	if err := os.Mkdir(r.dir("x"), 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if strings.Contains(string(text), "/sys/fs/cgroup") && !strings.Contains(string(text), "/none") {
			return // the fuzzer must not find the machine's own groups
		}
		if err := os.WriteFile(r.stateFile("x"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := r.State("x")
		if err != nil {
			return
		}
		if s.ID != "x" {
			t.Fatalf("the state of x says it is %q", s.ID)
		}
		// A start time in clock ticks is found by chance once in many years.
		if err := r.Kill("x", unix.SIGKILL, false); !errors.Is(err, fault.NotRunning) {
			t.Fatalf("kill: %v", err)
		}
	})
}

// FuzzPasswd against a second reading of passwd(5).
func FuzzPasswd(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/sh\nsailor:x:1000:1000::/home/sailor:\n", uint32(1000))
	f.Add("a:b:0:0:x:relative:y\nb::0::x:/second", uint32(0))
	f.Add(":::::\n\x00:\n:x:00:", uint32(0))
	f.Fuzz(func(t *testing.T, text string, uid uint32) {
		got := passwdHome(text, uid)
		if !filepath.IsAbs(got) {
			t.Fatalf("home %q is not absolute", got)
		}
		for _, line := range strings.Split(text, "\n") {
			f := strings.SplitN(line, ":", 7)
			if len(f) > 5 && f[2] == utoa(uid) && strings.HasPrefix(f[5], "/") {
				if got != f[5] {
					t.Fatalf("home %q, want %q", got, f[5])
				}
				return
			}
		}
		if got != "/" {
			t.Fatalf("home %q of nobody", got)
		}
	})
}
