package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// measureVersion shows what berth's own packages cost at start.
func measureVersion(b *bench) ([]result, error) {
	empty := b.path("emptycobra")
	berth := filepath.Join(b.Bin, "berth")
	build := func() error { return goBuild(empty, "emptycobra") }
	cs, absent := present([]side{
		{"berth", func() error { _, err := os.Stat(berth); return err }, just(func() command { return command{berth, "--version"} })},
		{"empty", build, just(func() command { return command{empty, "--version"} })},
	})
	t := interleave(b.Rounds*3, cs, absent)
	return compare("", "berth", t, absent, []goal{{"empty", 2, "≤ 2 × an empty cobra program"}}), nil
}

// goBuild builds one of our small programs, stripped like the shipped ones.
func goBuild(exe, program string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
		"-o", exe, "github.com/berth-engine/berth/test/bench/"+program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.New("build " + program + ": " + string(out))
	}
	return inOnePiece(exe)
}

// inOnePiece writes a program as `make build` writes ours; see decision 086.
func inOnePiece(exe string) error {
	text, err := os.ReadFile(exe)
	if err != nil {
		return err
	}
	if err := os.Remove(exe); err != nil {
		return err
	}
	return os.WriteFile(exe, text, 0o755)
}
