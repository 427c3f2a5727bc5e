package main

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestNotFoundInShortPath: engines look for these words, and a PATH of one
// directory is a PATH, too.
func TestNotFoundInShortPath(t *testing.T) {
	s := newShell(t, "")
	s.edit(func(p *specs.Spec) {
		p.Process.Env, p.Process.Args = []string{"PATH=/bin"}, []string{"nope"}
	})
	s.want(1, `exec: \"nope\": executable file not found in $PATH`, "run", "--bundle", s.bundle, s.id)
}
