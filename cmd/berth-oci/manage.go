package main

import (
	"context"
	"encoding/json"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

func cmdDelete(a *app) func() (int, error) {
	force := a.flags.BoolP("force", "f", false, "kill a container that still runs")
	return func() (int, error) { return 0, a.rt.Delete(context.Background(), a.args[0], *force) }
}

func cmdPause(a *app) func() (int, error) {
	return func() (int, error) { return 0, a.rt.Freeze(context.Background(), a.args[0], true) }
}

func cmdResume(a *app) func() (int, error) {
	return func() (int, error) { return 0, a.rt.Freeze(context.Background(), a.args[0], false) }
}

// cmdFeatures prints what section "Features" of the specification asks for.
func cmdFeatures(a *app) func() (int, error) {
	return func() (int, error) {
		yes, no := true, false
		f := features.Features{
			OCIVersionMin: "1.0.0", OCIVersionMax: specs.Version,
			Hooks: []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
			Linux: &features.Linux{
				Namespaces: []string{"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"},
				Cgroup:     &features.Cgroup{V1: &yes, V2: &yes, Systemd: &no, SystemdUser: &no},
				Seccomp: &features.Seccomp{
					Enabled:        &yes,
					Actions:        []string{"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"},
					Operators:      []string{"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"},
					SupportedFlags: []string{"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"},
				},
				Apparmor: &features.Apparmor{Enabled: &yes},
				Selinux:  &features.Selinux{Enabled: &yes},
			},
			Annotations: map[string]string{"org.berth.arch": runtime.GOARCH},
		}
		addFeatures(&f)
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "    ")
		return 0, enc.Encode(f)
	}
}
