package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDependenciesAreExplained(t *testing.T) {
	page := readText(t, filepath.Join(root, "docs/dependencies.md"))
	for line := range strings.Lines(readText(t, filepath.Join(root, "go.mod"))) {
		f := strings.Fields(line)
		if len(f) != 2 || !strings.HasPrefix(f[1], "v") { // "// indirect" makes more fields
			continue
		}
		if !strings.Contains(page, "`"+f[0]+"`") {
			t.Errorf("docs/dependencies.md says nothing of %s: what for, why this one, what it costs", f[0])
		}
	}
}

// link is [text](target) of Markdown.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "test/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	for _, page := range pages {
		for _, m := range link.FindAllStringSubmatch(readText(t, page), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), target)); err != nil {
				t.Errorf("%s: link to %s, which is not there", strings.TrimPrefix(page, root+"/"), target)
			}
		}
	}
}

func TestDecisionsAreIndexed(t *testing.T) {
	index := readText(t, filepath.Join(root, "docs/decisions/README.md"))
	notes, err := filepath.Glob(filepath.Join(root, "docs/decisions/[0-9]*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range notes {
		if name := filepath.Base(n); !strings.Contains(index, "("+name+")") {
			t.Errorf("docs/decisions/README.md does not list %s", name)
		}
	}
}
