package format

import (
	"bytes"
	"encoding/json"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	"github.com/berth-engine/berth/internal/fault"
)

// Parse compiles a template with docker's functions: json, join, split,
// lower, upper, title, pad, truncate, println and text/template's own.
func Parse(text string) (*template.Template, error) {
	t, err := template.New("").Funcs(functions()).Parse(text)
	if err != nil {
		return nil, fault.New(fault.Invalid, "template parsing error: %w", err)
	}
	return t, nil
}

func functions() template.FuncMap {
	return template.FuncMap{
		"json":     toJSON,
		"split":    strings.Split,
		"join":     strings.Join,
		"title":    title,
		"lower":    strings.ToLower,
		"upper":    strings.ToUpper,
		"pad":      pad,
		"truncate": truncate,
	}
}

func toJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}

// title puts the first letter of every word into upper case.
func title(s string) string {
	prev := ' '
	return strings.Map(func(r rune) rune {
		start := unicode.IsSpace(prev)
		prev = r
		if start {
			return unicode.ToTitle(r)
		}
		return r
	}, s)
}

// maxPad bounds what a template can ask for.
const maxPad = 1 << 12

func pad(s string, before, after int) string {
	if s == "" {
		return s
	}
	return strings.Repeat(" ", min(max(before, 0), maxPad)) + s + strings.Repeat(" ", min(max(after, 0), maxPad))
}

func truncate(s string, n int) string {
	if n < 0 || utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}

// unescape lets a shell word carry tabs and line breaks.
var unescape = strings.NewReplacer(`\t`, "\t", `\n`, "\n")
