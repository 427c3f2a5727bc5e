package main

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/test/fixture"
)

// TestCapabilityNotHeld: on a machine that lacks a capability a container that
// asks for it comes up without it, and the log says so.
func TestCapabilityNotHeld(t *testing.T) {
	fixture.Need(t, "setpriv")
	s := newShell(t, "")
	exe := s.exe
	s.exe, s.prefix = "setpriv", []string{"--bounding-set=-sys_time", exe}
	s.edit(func(p *specs.Spec) {
		caps := []string{"CAP_CHOWN", "CAP_SYS_TIME"}
		p.Process.Args = []string{"grep", "CapEff", "/proc/self/status"}
		p.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
	})
	stdout, stderr, code := s.run("run", "--bundle", s.bundle, s.id)
	if code != 0 || stdout != "CapEff:\t0000000000000001\n" {
		t.Errorf("status %d, output %q", code, stdout)
	}
	if !strings.Contains(stderr, "level=warning") || !strings.Contains(stderr, "CAP_SYS_TIME") {
		t.Errorf("no warning: %q", stderr)
	}
}

// TestNotFoundInShortPath: engines look for these words, and a PATH of one
// directory is a PATH, too.
func TestNotFoundInShortPath(t *testing.T) {
	s := newShell(t, "")
	s.edit(func(p *specs.Spec) {
		p.Process.Env, p.Process.Args = []string{"PATH=/bin"}, []string{"nope"}
	})
	s.want(1, `exec: \"nope\": executable file not found in $PATH`, "run", "--bundle", s.bundle, s.id)
}
