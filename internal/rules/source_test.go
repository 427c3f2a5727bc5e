package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// allowed says which packages may do a dangerous thing, and why.
type allowed map[string]string

var (
	mayUnsafe = allowed{
		"runtime/launch": "reads the code of its interpreter out of our own text",
	}
	mayExec = allowed{
		"container/monitor": "starts the monitor, by an absolute path",
		"image/courier":     "starts berth-registry",
		"runtime/criu":      "starts criu and berth-criu",
		"runtime/oci":       "runs the hooks that a spec names",
		"cmd/berth-oci":     "ps(1), as runc does",
		"runtime/cgroup":    "its own program, as the first process of a systemd scope",
		"engine":            "ps(1) for top, as docker does",
	}
)

func TestPackagesHaveDocs(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue // tests only, or held back by a build tag
		}
		if p.Doc == "" {
			t.Errorf("%s has no package comment: say what it is for and what to call first", p.name())
		}
	}
}

func TestDangerousImports(t *testing.T) {
	for _, p := range packages(t) {
		if match("test/...", p.name()) {
			continue
		}
		check := func(imp string, who allowed) {
			if slices.Contains(p.Imports, imp) && who[p.name()] == "" {
				t.Errorf("%s imports %s; only these may: %v", p.name(), imp, keys(who))
			}
		}
		check("unsafe", mayUnsafe)
		check("os/exec", mayExec)
		check("plugin", nil)
		check("net/http/pprof", nil)
	}
}

// Nobody borrows private functions of the Go runtime.
func TestLinkname(t *testing.T) {
	eachFile(t, func(_ pkg, path string, f *ast.File) {
		for _, c := range comments(f) {
			if strings.HasPrefix(c.Text, "//go:linkname") {
				t.Errorf("%s: go:linkname", path)
			}
		}
	})
}

// constant is a name of x/sys/unix that does nothing: a number, a type, or
// arithmetic on them.
var constant = regexp.MustCompile(`^([A-Z0-9_x]+|Errno|ErrnoName|Signal|SignalName|Mkdev|Major|Minor)$`)

// TestPurePackagesUseOnlyNumbers: a pure package may name system calls and
// flags, but not call one.
func TestPurePackagesUseOnlyNumbers(t *testing.T) {
	eachFile(t, func(p pkg, path string, f *ast.File) {
		if !slices.Contains(pure, p.name()) || strings.HasSuffix(path, "_test.go") {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "unix" && !constant.MatchString(sel.Sel.Name) {
				t.Errorf("%s is pure but uses unix.%s", path, sel.Sel.Name)
			}
			return true
		})
	})
}

// note is a note to self. The word inside a string or a name is no note.
var note = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)

func TestNoNotesToSelf(t *testing.T) {
	eachFile(t, func(_ pkg, path string, f *ast.File) {
		for _, c := range comments(f) {
			if word := note.FindString(c.Text); word != "" {
				t.Errorf("%s: %s: do it, or file an issue", path, word)
			}
		}
	})
}

func comments(f *ast.File) []*ast.Comment {
	var all []*ast.Comment
	for _, group := range f.Comments {
		all = append(all, group.List...)
	}
	return all
}

// eachFile parses every Go file of ours, except those of this package, which
// speak of what they look for.
func eachFile(t *testing.T, fn func(p pkg, path string, f *ast.File)) {
	t.Helper()
	for _, p := range packages(t) {
		if p.name() == "internal/rules" {
			continue
		}
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles) {
			path := filepath.Join(p.Dir, name)
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments)
			if err != nil {
				continue // the compiler says so better
			}
			fn(p, filepath.Join(p.name(), name), f)
		}
	}
}

func keys(m allowed) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
