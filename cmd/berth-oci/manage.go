package main

import (
	"context"
	"encoding/json"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/runtime/seccomp"
)

func cmdDelete(a *app) func() (int, error) {
	force := a.flags.BoolP("force", "f", "kill a container that still runs")
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
		yes := true
		f := features.Features{
			OCIVersionMin: "1.0.0", OCIVersionMax: specs.Version,
			Hooks: []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
			Linux: &features.Linux{
				Namespaces: []string{"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"},
				Cgroup:     &features.Cgroup{V1: &yes, V2: &yes, Systemd: &yes, SystemdUser: &yes},
				Seccomp:    seccomp.Features(kernel.SeccompFlags),
				Apparmor:   &features.Apparmor{Enabled: &yes},
				Selinux:    &features.Selinux{Enabled: &yes},
			},
			Annotations: map[string]string{"org.berth.arch": runtime.GOARCH},
		}
		addFeatures(&f)
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "    ")
		return 0, enc.Encode(f)
	}
}
