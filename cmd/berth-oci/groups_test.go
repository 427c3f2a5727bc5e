package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/test/fixture"
)

// TestSystemdCgroup has a container in a scope where systemd runs, and a
// plain error where it does not.
func TestSystemdCgroup(t *testing.T) {
	s := newShell(t, "read x")
	s.edit(func(spec *specs.Spec) {
		spec.Process.Args = []string{"sleep", "1000"}
		spec.Linux.CgroupsPath = "system.slice:berthtest:" + s.id
		spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ref(int64(20))}
	})
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		s.want(1, "systemd not running on this host, cannot use systemd cgroups manager", "--systemd-cgroup", "create", "--bundle", s.bundle, s.id)
		s.want(1, "does not exist", "state", s.id)
		return
	}
	unit := "berthtest-" + s.id + ".scope"
	property := func(name string) string {
		t.Helper()
		out, err := exec.Command("systemctl", "show", "--value", "-p", name, unit).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	s.want(0, "", "--systemd-cgroup", "create", "--bundle", s.bundle, s.id)
	s.want(0, `"status": "created"`, "state", s.id)
	s.want(0, "", "start", s.id)
	if got := property("TasksMax"); got != "20" {
		t.Errorf("TasksMax is %s", got)
	}
	s.want(0, "", "update", s.id, "--pids-limit", "30")
	if got := property("TasksMax"); got != "30" {
		t.Errorf("TasksMax is %s after the update", got)
	}
	s.want(0, `"limit":30`, "events", "--stats", s.id)
	s.want(0, "", "exec", s.id, "true")
	s.want(0, "", "delete", "--force", s.id)
	if got := property("LoadState"); got != "not-found" {
		t.Errorf("the unit is still %s", got)
	}
	s.edit(func(spec *specs.Spec) { spec.Linux.CgroupsPath = "/a/b" })
	s.want(1, "slice:prefix:name", "--systemd-cgroup", "create", "--bundle", s.bundle, s.id)
}

// TestReadOnlyGroups runs where no group can be made, as in many a container:
// without limits that works, with one it says what is missing.
func TestReadOnlyGroups(t *testing.T) {
	fixture.Need(t, "unshare", "mount")
	s := newShell(t, "cat /proc/self/cgroup; echo ran")
	here := filepath.Join(s.work, "berth-oci")
	script := "#!/bin/sh\nexec unshare -m sh -c '" +
		`awk "\$3 ~ /^cgroup/ { print \$2 }" /proc/mounts | while read m; do mount -o remount,bind,ro "$m" || exit 9; done; exec "$0" "$@"` +
		"' " + s.exe + ` "$@"` + "\n"
	if err := os.WriteFile(here, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s.exe = here
	s.want(0, "ran\n", "run", "--bundle", s.bundle, s.id)
	s.edit(func(spec *specs.Spec) {
		spec.Process.Args = []string{"true"}
		spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ref(int64(20))}
	})
	s.want(1, "linux.resources.pids.limit: no right to limit pids: write to /sys/fs/cgroup", "run", "--bundle", s.bundle, s.id)

	s.edit(func(spec *specs.Spec) { spec.Process.Args = []string{"sleep", "1000"} })
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	s.want(0, `"status": "running"`, "state", s.id)
	s.want(0, "", "exec", s.id, "true")
	s.want(1, "controller pids is not available", "update", s.id, "--pids-limit", "3")
	s.want(0, `{"type":"stats"`, "events", "--stats", s.id)
	s.want(1, "no freezer", "pause", s.id)
	s.want(0, "", "delete", "--force", s.id)
}
