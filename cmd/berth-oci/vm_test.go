//go:build vm

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// profile confines like an engine's default one, and hides a file. It is the
// machine's while it is loaded, hence the build tag.
const profile = `#include <tunables/global>
profile berth-test flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  signal,
  deny /secret r,
  deny /proc/sys/** w,
}
`

func loadProfile(t *testing.T) {
	t.Helper()
	if on, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err != nil || strings.TrimSpace(string(on)) != "Y" {
		t.Skip("AppArmor is not enabled in this kernel")
	}
	file := filepath.Join(t.TempDir(), "berth-test")
	if err := os.WriteFile(file, []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	parser := func(flags ...string) {
		t.Helper()
		if out, err := exec.Command("apparmor_parser", append(flags, "--skip-cache", file)...).CombinedOutput(); err != nil {
			t.Fatalf("apparmor_parser %q: %v\n%s", flags, err, out)
		}
	}
	parser("--replace")
	t.Cleanup(func() { parser("--remove") })
}

func TestAppArmorConfines(t *testing.T) {
	loadProfile(t)
	const script = "cat /proc/self/attr/current; cat /secret; echo status $?"
	s := newShell(t, "")
	if err := os.WriteFile(filepath.Join(s.bundle, "rootfs/secret"), []byte("seen\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	with := func(name, script string) {
		t.Helper()
		s.edit(func(p *specs.Spec) {
			p.Process.Args = []string{"sh", "-c", script}
			p.Process.ApparmorProfile = name
		})
	}
	with("", script)
	s.want(0, "unconfined\nseen\nstatus 0\n", "run", "--bundle", s.bundle, s.id)
	with("berth-test", script)
	if got := s.want(0, "Permission denied", "run", "--bundle", s.bundle, s.id); got != "berth-test (enforce)\nstatus 1\n" {
		t.Errorf("under the profile: %q", got)
	}
	with("no-such-profile", script)
	s.want(1, "AppArmor profile no-such-profile", "run", "--bundle", s.bundle, s.id)

	// Processes that come later have the container's profile or their own.
	with("", "exec sleep 1000")
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	s.want(0, "unconfined\nseen\n", "exec", s.id, "sh", "-c", script)
	s.want(0, "berth-test (enforce)\nstatus 1\n", "exec", "--apparmor", "berth-test", s.id, "sh", "-c", script)
	s.want(0, "", "delete", "--force", s.id)
	with("berth-test", "exec sleep 1000")
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	s.want(0, "berth-test (enforce)\nstatus 1\n", "exec", s.id, "sh", "-c", script)
}
