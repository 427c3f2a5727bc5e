package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// measureVersion shows what berth's own packages cost at start.
func measureVersion(b *bench) ([]result, error) {
	berth := filepath.Join(b.Bin, "berth")
	empty := b.path("emptycobra")
	cs, absent := present([]side{
		{"berth", func() error { _, err := os.Stat(berth); return err }, just(func() command { return command{berth, "--version"} })},
		{"empty", func() error { return build("emptycobra", empty) }, just(func() command { return command{empty, "--version"} })},
	})
	t := interleave(b.Rounds*3, cs, absent)
	return compare("", "berth", t, absent, []goal{{"empty", 2, "≤ 2 × an empty cobra program"}}), nil
}

// build compiles a program of this directory to compare with, as ours are.
func build(name, to string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
		"-o", to, "github.com/berth-engine/berth/test/bench/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %s", name, out)
	}
	return nil
}
