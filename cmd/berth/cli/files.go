package cli

import (
	"path/filepath"
	"strings"
)

func dirOf(path string) string { return filepath.Dir(path) }

func isURL(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
}
