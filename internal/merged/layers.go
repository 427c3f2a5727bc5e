package merged

import (
	"strings"

	"github.com/berth-engine/berth/internal/mount"
)

// layerDirs lists an overlay's directories, upper first; of another mount it
// is the source.
func layerDirs(m mount.Mount) []string {
	if m.Type != "overlay" {
		return []string{m.Source}
	}
	var upper, lower []string
	for _, o := range m.Options {
		switch k, v, _ := strings.Cut(o, "="); k {
		case "upperdir":
			upper = []string{unescape(v)}
		case "lowerdir":
			lower = append(lower, splitLower(v)...)
		case "lowerdir+":
			lower = append(lower, v)
		}
	}
	return append(upper, lower...)
}

// splitLower splits at the colons that have no backslash before them.
func splitLower(s string) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ':':
			out = append(out, unescape(s[start:i]))
			start = i + 1
		}
	}
	return append(out, unescape(s[start:]))
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
