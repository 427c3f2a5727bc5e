package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// suite is the programs, built.
type suite struct {
	dir      string // with the programs, runtimetest and the root file system
	version  string // of the module
	programs []string
	runtimes []contender
}

// contender is a runtime under test.
type contender struct{ name, path string }

const module = "github.com/opencontainers/runtime-tools"

// build makes the programs in the user's cache directory. An up-to-date file
// is left alone.
func build() (*suite, error) {
	s := &suite{}
	src, err := s.source()
	if err != nil {
		return nil, err
	}
	if s.runtimes, err = runtimes(); err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	s.dir = filepath.Join(cache, "berth-test", "runtime-tools-"+s.version)
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	if _, err := goTool("build", "-o", s.dir+"/", "tool"); err != nil {
		return nil, err
	}
	rootfs := "rootfs-" + runtime.GOARCH + ".tar.gz"
	text, err := os.ReadFile(filepath.Join(src, rootfs))
	if err != nil {
		return nil, err
	}
	return s, os.WriteFile(filepath.Join(s.dir, rootfs), text, 0o600)
}

// source finds the module, and in it the names of the programs.
func (s *suite) source() (dir string, err error) {
	out, err := goTool("mod", "download", "-json", module)
	if err != nil {
		return "", err
	}
	var m struct{ Dir, Version string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", err
	}
	s.version = m.Version
	entries, err := os.ReadDir(filepath.Join(m.Dir, "validation"))
	for _, e := range entries {
		if e.IsDir() && e.Name() != "util" {
			s.programs = append(s.programs, e.Name())
		}
	}
	slices.Sort(s.programs)
	return m.Dir, err
}

// goTool runs go in the module of the tools.
func goTool(args ...string) ([]byte, error) {
	root, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.Join(filepath.Dir(strings.TrimSpace(string(root))), "test/conform/tools")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output wraps nothing
		err = fmt.Errorf("go %s: %w\n%s", args[0], err, exit.Stderr)
	}
	return out, err
}
