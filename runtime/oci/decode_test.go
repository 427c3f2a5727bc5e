package oci

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/jsontext"
	"github.com/berth-engine/berth/runtime/seccomp"
)

// What everybody's containers have is read without encoding/json.
func TestReadAllIsEnough(t *testing.T) {
	s := DefaultSpec()
	limit, shares := int64(1<<30), uint64(512)
	s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit, Swap: &limit}
	s.Linux.Resources.CPU = &specs.LinuxCPU{Shares: &shares, Cpus: "0"}
	s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &limit}
	s.Linux.Seccomp = seccomp.Default(seccomp.Host{Arch: "amd64", Kernel: [2]int{6, 1}})
	s.Process.User.AdditionalGids = []uint32{4}
	for _, indent := range []string{"", "\t"} {
		data, err := json.MarshalIndent(s, "", indent)
		if err != nil {
			t.Fatal(err)
		}
		var got specs.Spec
		if !jsontext.Try(data, &got, readAll) {
			t.Errorf("not read at once: %s", data)
		}
		if diff := cmp.Diff(s, &got); diff != "" {
			t.Error(diff)
		}
	}
}

// Decoding in parts gives what decoding in one piece gives.
func TestParseSpecLosesNothing(t *testing.T) {
	full := `{"ociVersion":"1.3.0","process":{"terminal":true,"consoleSize":{"height":1,"width":2},"user":{"uid":1,"gid":2,"umask":3,"additionalGids":[4]},
	"args":["a"],"env":["A=B"],"cwd":"/","capabilities":{"bounding":["CAP_KILL"]},"rlimits":[{"type":"RLIMIT_CPU","hard":1,"soft":1}],
	"noNewPrivileges":true,"apparmorProfile":"x","oomScoreAdj":5,"scheduler":{"policy":"SCHED_OTHER","nice":1},"selinuxLabel":"y",
	"ioPriority":{"class":"IOPRIO_CLASS_IDLE","priority":1},"execCPUAffinity":{"initial":"0"}},
	"root":{"path":"r","readonly":true},"hostname":"h","domainname":"d","mounts":[{"destination":"/x","type":"tmpfs"}],
	"hooks":{"poststop":[{"path":"/p"}]},"annotations":{"k":"v"},
	"linux":{"uidMappings":[{"containerID":0,"hostID":1,"size":2}],"gidMappings":[{"containerID":0,"hostID":1,"size":2}],"sysctl":{"net.x":"1"},
	"resources":{"devices":[{"allow":true,"access":"rwm"}],"memory":{"limit":9},"cpu":{"shares":2},"pids":{"limit":3},"blockIO":{"weight":10},
	"hugepageLimits":[{"pageSize":"2MB","limit":1}],"network":{"classID":1},"rdma":{"m":{"hcaHandles":1}},"unified":{"a.b":"c"}},
	"cgroupsPath":"/c","namespaces":[{"type":"pid"}],"devices":[{"path":"/dev/z","type":"c","major":1,"minor":2}],
	"netDevices":{"eth0":{"name":"e"}},"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"},"rootfsPropagation":"private","maskedPaths":["/m"],
	"readonlyPaths":["/o"],"mountLabel":"l","intelRdt":{"closID":"i"},"memoryPolicy":{"mode":"MPOL_DEFAULT"},"personality":{"domain":"LINUX"},
	"timeOffsets":{"monotonic":{"secs":1}}}}`
	var want specs.Spec
	if err := json.Unmarshal([]byte(full), &want); err != nil {
		t.Fatal(err)
	}
	got, err := parseSpec("config.json", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
	text, err := jsontext.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(&want)
	if err != nil || string(text) != string(again) {
		t.Errorf("written as %s\nwant       %s, %v", text, again, err)
	}
}

// A record is the JSON that encoding/json makes of it, and comes back whole.
func TestRecord(t *testing.T) {
	full := State{
		State:  specs.State{Version: "1.3.0", ID: "a", Status: specs.StateCreated, Pid: 7, Bundle: "/b\"<", Annotations: map[string]string{"z": "1", "a": "é"}},
		Rootfs: "/r", Created: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Owner: "root", StartTicks: 1 << 63, Boot: "x",
		Cgroups: map[string]string{"": "/u", "cpu": "/c"}, Program: "sh", Hooks: true,
	}
	for _, s := range []State{full, {}} {
		want, err := json.Marshal(&s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := jsontext.Marshal(&s)
		if err != nil || string(got) != string(want) {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
		var back State
		if err := jsontext.Unmarshal(want, &back); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(s, back); diff != "" {
			t.Error(diff)
		}
	}
}
