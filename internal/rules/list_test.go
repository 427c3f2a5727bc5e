package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/berth-engine/berth"

// pkg is what go list says of a package.
type pkg struct {
	ImportPath  string
	Dir         string
	Doc         string
	GoFiles     []string
	TestGoFiles []string
	Imports     []string // of the package itself, not of its tests
	Deps        []string // all that end up in a program that imports it
}

// name is the path below the module's root.
func (p pkg) name() string { return short(p.ImportPath) }

// short cuts the module's path off our own packages and leaves others alone.
func short(path string) string { return strings.TrimPrefix(path, module+"/") }

// std reports whether an import path is of the standard library.
func std(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

var listAll = sync.OnceValues(func() ([]pkg, error) {
	// -e: a package that does not compile is somebody else's failure.
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Doc,GoFiles,TestGoFiles,Imports,Deps", "./...")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

// packages lists ours.
func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := listAll()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return all
}

// match reports whether a package is named by a pattern: a path, or a path
// with /... for it and all below.
func match(pattern, path string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	return path == pattern
}
