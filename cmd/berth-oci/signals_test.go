package main

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/test/fixture"
)

// What the caller ignores and blocks is its own affair: a shell ignores SIGINT
// for what it starts in the background, nohup(1) SIGHUP, and a payload that
// inherits it cannot be stopped by them.
func TestSignalsOfCaller(t *testing.T) {
	fixture.Need(t, "env")
	s := newShell(t, "")
	s.edit(func(p *specs.Spec) { p.Process.Args = []string{"sleep", "100"} })
	exe := s.exe
	s.exe, s.prefix = "env", []string{"--ignore-signal", "--block-signal", exe}
	s.want(0, "", "create", "--bundle", s.bundle, s.id)
	s.want(0, "", "start", s.id)
	const none = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
	for _, pid := range []string{"1", "self"} {
		stdout, stderr, code := s.run("exec", s.id, "grep", "-E", "SigIgn|SigBlk", "/proc/"+pid+"/status")
		if code != 0 || stdout != none {
			t.Errorf("process %s: status %d, %q %q", pid, code, stdout, stderr)
		}
	}
}
