//go:build vm

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestCheckpointConfined: profile, filter and limits are there again. A CRIU
// that does not keep no_new_privs has mounts that give none.
func TestCheckpointConfined(t *testing.T) {
	needsCriu(t)
	loadProfile(t, "berth-test")
	s := newShell(t, "")
	badness := 77
	s.runCounting(func(p *specs.Spec) {
		p.Process.ApparmorProfile = "berth-test"
		p.Process.NoNewPrivileges = true
		p.Process.OOMScoreAdj = &badness
		p.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 99, Hard: 100}}
		p.Linux.Seccomp = &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			Syscalls:      []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno}},
		}
	})
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.pid(), name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	confined := func() (lines string) {
		t.Helper()
		for line := range strings.Lines(read("status")) {
			switch name, _, _ := strings.Cut(line, ":"); name {
			case "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Seccomp", "Seccomp_filters":
				lines += line
			}
		}
		return lines + read("attr/current") + read("limits") + read("oom_score_adj")
	}
	before := confined()
	s.want(0, "", "checkpoint", s.id)
	_, warning, code := s.run("restore", "--detach", "--bundle", s.bundle, s.id)
	if code != 0 {
		t.Fatal(warning)
	}
	if after := confined(); after != before || !strings.Contains(after, "berth-test (enforce)") || !strings.Contains(after, "Seccomp:\t2") {
		t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
	if strings.Contains(read("status"), "NoNewPrivs:\t1") {
		return
	}
	if !strings.Contains(warning, "nosuid") || strings.Count(warning, "\n") != 1 {
		t.Errorf("warning %q", warning)
	}
	for line := range strings.Lines(read("mountinfo")) {
		if !strings.Contains(line, "nosuid") {
			t.Errorf("programs here may give rights: %s", line)
		}
	}
	// What was confined so is so ever after.
	s.want(0, "", "checkpoint", s.id)
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, s.id)
	s.counts(s.count(s.pid()))
}

// TestCheckpointProfile: a profile of the restore's own takes the place of that
// of the images, if they have one.
func TestCheckpointProfile(t *testing.T) {
	needsCriu(t)
	loadProfile(t, "berth-test")
	loadProfile(t, "berth-other")
	s := newShell(t, "")
	restore := []string{"restore", "--detach", "--bundle", s.bundle, "--lsm-profile", "apparmor:berth-other", s.id}
	s.runCounting(nil)
	s.want(0, "", "checkpoint", s.id)
	s.oneLine(`is confined by \"unconfined\"`, restore...)
	s.gone()

	n := s.runCounting(func(p *specs.Spec) { p.Process.ApparmorProfile = "berth-test" })
	s.want(0, "", "checkpoint", s.id)
	s.want(0, "", restore...)
	label, err := os.ReadFile(fmt.Sprintf("/proc/%d/attr/current", s.pid()))
	if err != nil || string(label) != "berth-other (enforce)\n" {
		t.Errorf("%q, %v", label, err)
	}
	s.counts(n)
	s.want(0, "", "delete", "--force", s.id)
	restore[5] = "apparmor:no-such"
	s.oneLine("is not loaded", restore...)
	restore[5] = "no-such"
	s.oneLine("give TYPE:NAME", restore...)
	s.gone()
}

// TestCheckpointStuck: CRIU 3.17 that finds no such profile kills what it has
// restored, and waits for ever.
func TestCheckpointStuck(t *testing.T) {
	needsCriu(t)
	unload := loadProfile(t, "berth-gone")
	s := newShell(t, "")
	s.runCounting(func(p *specs.Spec) { p.Process.ApparmorProfile = "berth-gone" })
	s.want(0, "", "checkpoint", s.id)
	unload()
	s.oneLine(`\"berth-gone\" is not loaded`, "restore", "--detach", "--bundle", s.bundle, s.id)
	s.edit(func(p *specs.Spec) { p.Process.Args = []string{"sh", "-c", counting} })
	s.oneLine("criu restore: ", "restore", "--detach", "--bundle", s.bundle, s.id)
	s.gone()
}

// TestSystemdCheckpoint: a container of systemd's comes back in a scope.
func TestSystemdCheckpoint(t *testing.T) {
	needsSystemd(t)
	needsCriu(t)
	s := newShell(t, "")
	pids := int64(33)
	s.edit(func(p *specs.Spec) {
		p.Process.Args = []string{"sh", "-c", counting}
		p.Linux.CgroupsPath = "system.slice:berth:" + s.id
		p.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
	})
	s.want(0, "", "--systemd-cgroup", "run", "--detach", "--bundle", s.bundle, s.id)
	n := s.counts(10)
	group := "/sys/fs/cgroup/system.slice/berth-" + s.id + ".scope"
	for range 2 {
		s.want(0, "", "checkpoint", s.id)
		s.gone()
		s.until(func() bool { _, err := os.Stat(group); return err != nil })
		s.want(0, "", "--systemd-cgroup", "restore", "--detach", "--bundle", s.bundle, s.id)
		n = s.counts(n)
		sameLimits(t, s.pid(), map[string]string{"pids.max": "33"})
		if _, err := os.Stat(group); err != nil {
			t.Error(err)
		}
	}
	s.want(0, "", "delete", "--force", s.id)
	s.until(func() bool { _, err := os.Stat(group); return err != nil })
}
