package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
		spec.Annotations = map[string]string{
			"org.systemd.property.TimeoutStopUSec": "uint64 123456789",
			"org.systemd.property.CollectMode":     "'inactive'",
		}
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
	if stop, collect := property("TimeoutStopUSec"), property("CollectMode"); stop != "2min 3.456789s" || collect != "inactive" {
		t.Errorf("of annotations: TimeoutStopUSec is %s, CollectMode %s", stop, collect)
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
	s.edit(func(spec *specs.Spec) {
		spec.Annotations = map[string]string{"org.systemd.property.FailureAction": "'reboot'"}
	})
	s.want(1, "org.systemd.property.FailureAction", "--systemd-cgroup", "create", "--bundle", s.bundle, s.id)
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

// TestExecIsInEveryGroup: also in the one of the unified tree beside v1.
func TestExecIsInEveryGroup(t *testing.T) {
	s := newShell(t, "")
	s.edit(func(spec *specs.Spec) {
		spec.Process.Args = []string{"sleep", "1000"}
		without(spec, specs.CgroupNamespace)
		//lint:ignore SA1019 what is obsolete is told
		spec.Linux.Resources.Memory = &specs.LinuxMemory{Kernel: ref(int64(1 << 20))}
	})
	s.want(0, "linux.resources.memory.kernel is ignored", "run", "--detach", "--bundle", s.bundle, s.id)
	first := s.want(0, "", "exec", s.id, "cat", "/proc/1/cgroup")
	if own := s.want(0, "", "exec", s.id, "cat", "/proc/self/cgroup"); own != first || !strings.Contains(own, s.id) {
		t.Errorf("the container is in\n%sexec in\n%s", first, own)
	}
	here, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Count(first, s.id)
	if all := strings.Count(string(here), "\n"); lines < all-1 { // one may be mounted nowhere
		t.Errorf("in %d groups of %d:\n%s", lines, all, first)
	}
}

// TestLimitsLikeRunc compares every file of every group with what runc writes
// for the same bundle.
func TestLimitsLikeRunc(t *testing.T) {
	fixture.Need(t, "runc")
	s := newShell(t, "")
	s.edit(func(spec *specs.Spec) {
		spec.Process.Args = []string{"sleep", "1000"}
		r := spec.Linux.Resources
		r.Memory = &specs.LinuxMemory{Limit: ref(int64(64 << 20)), Swap: ref(int64(96 << 20)), Reservation: ref(int64(32 << 20)), Swappiness: ref(uint64(10))}
		r.CPU = &specs.LinuxCPU{Quota: ref(int64(50000)), Period: ref(uint64(200000)), Cpus: "0", Mems: "0"}
		r.Pids = &specs.LinuxPids{Limit: ref(int64(50))}
		r.Devices = append(r.Devices, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ref(int64(10)), Minor: ref(int64(229)), Access: "rw"})
		if _, err := os.Stat("/sys/fs/cgroup/cpu/cpu.shares"); err == nil {
			r.CPU.Shares = ref(uint64(300)) // on v2 the runc of Debian has the old curve
		}
	})
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	root, id := filepath.Join(t.TempDir(), "runc"), s.id+"-runc"
	t.Cleanup(func() { _ = exec.Command("runc", "--root", root, "delete", "--force", id).Run() })
	if err := exec.Command("runc", "--root", root, "run", "--detach", "--bundle", s.bundle, id).Run(); err != nil {
		t.Skip("runc cannot run a container here:", err)
	}
	ours, theirs := groupFiles(t, s.root, s.id), groupFiles(t, root, id)
	compared := 0
	for name, text := range ours {
		other, ok := theirs[name]
		switch {
		case !ok && strings.HasPrefix(name, "hugetlb."):
			continue // runc does not look for it in the unified tree of a hybrid
		case !ok:
			t.Errorf("%s is in our group alone", name)
			continue
		case name == "devices.list":
			other = strings.ReplaceAll(other, "c 10:200 rwm\n", "") // runc allowed tun until 1.2
		}
		compared++
		if text != other {
			t.Errorf("%s is %q, runc's %q", name, text, other)
		}
	}
	if compared < 30 {
		t.Errorf("only %d files compared", compared)
	}
}

// groupFiles reads the files of a container's groups in which a limit can be.
func groupFiles(t *testing.T, root, id string) map[string]string {
	t.Helper()
	var state struct {
		Cgroups map[string]string `json:"cgroups"`      // ours
		Paths   map[string]string `json:"cgroup_paths"` // runc's
	}
	b, err := os.ReadFile(filepath.Join(root, id, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &state); err != nil {
		t.Fatal(err)
	}
	dirs := state.Cgroups
	if dirs == nil {
		dirs = state.Paths
	}
	counts := regexp.MustCompile(`stat|usage|current|peak|events|pressure|numa|procs|tasks|threads|failcnt|kmem\.slab|force_empty|event_control|populated|io_serv|clone_children|time|sectors|dequeue|empty|group_wait|avg_queue|unaccounted|merged|queued|wait|serviced|idle_time|effective|cgroup\.`)
	files := map[string]string{}
	for controller, dir := range dirs {
		if controller == "" || strings.HasPrefix(controller, "name=") {
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			name := e.Name()
			if e.IsDir() || counts.MatchString(name) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				continue // for writing only
			}
			lines := strings.Split(string(text), "\n")
			slices.Sort(lines) // of devices.list the order is free
			files[name] = strings.Join(lines, "\n")
		}
	}
	return files
}
