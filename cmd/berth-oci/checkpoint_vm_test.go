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
	loadProfile(t)
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
