package oci

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

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
}
