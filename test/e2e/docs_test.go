package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentsAreThere looks for the pages that a newcomer is promised.
func TestDocumentsAreThere(t *testing.T) {
	for page, words := range map[string][]string{
		"README.md":             {"make run", "make test"},
		"CONTRIBUTING.md":       {"make lint"},
		"CHANGELOG.md":          {"Unreleased"},
		"SECURITY.md":           {"vulnerability"},
		"LICENSE":               {"Apache License", "Version 2.0"},
		"docs/architecture.md":  {"The picture"},
		"docs/decisions":        nil,
		"docs/life-of-a-run.md": {"plan"},
		"docs/glossary.md":      {"snapshot"},
		"docs/scope.md":         {"later"},
		"docs/dependencies.md":  {"cobra"},
		"docs/benchmarks.md":    {"crun", "runc", "docker", "podman", "conmon", "cobra", "make bench"},
	} {
		path := filepath.Join("../..", page)
		if words == nil {
			if notes, err := filepath.Glob(path + "/[0-9]*.md"); err != nil || len(notes) < 2 {
				t.Errorf("%s: no design notes", page)
			}
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, w := range words {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s does not speak of %q", page, w)
			}
		}
	}
}
