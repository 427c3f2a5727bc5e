package format

import (
	"bytes"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"

	"github.com/berth-engine/berth/internal/fault"
)

// Header maps a field of the row to its column title.
type Header map[string]string

// Label is the title of a {{.Label "a.b.c"}} column: its last part.
func (h Header) Label(name string) string {
	if i := strings.LastIndexAny(name, "./"); i >= 0 {
		name = name[i+1:]
	}
	return strings.ToUpper(strings.NewReplacer("-", " ", "_", " ").Replace(name))
}

// Spec is one listing: what a row may show and how it looks by itself.
type Spec struct {
	Format string // as the user gave it; "" and "table" are Table
	Table  string // template of the default table, without the word "table"
	Quiet  string // template with -q; used when Format is "" or "table"
	Header Header
}

// Uses reports whether the output needs the named field, so that costly ones
// are computed only then.
func (s Spec) Uses(field string) bool {
	t, _, isJSON := s.plan(false)
	return isJSON || strings.Contains(t, "."+field)
}

// plan gives template text, whether it is a table, whether it is JSON.
func (s Spec) plan(quiet bool) (text string, table, isJSON bool) {
	f := strings.TrimSpace(s.Format)
	switch {
	case f == "json":
		return "{{json .}}", false, true
	case (f == "" || f == "table") && quiet && s.Quiet != "":
		return s.Quiet, false, false
	case f == "" || f == "table":
		return s.Table, true, false
	case strings.HasPrefix(f, "table "):
		return unescape.Replace(strings.TrimSpace(strings.TrimPrefix(f, "table "))), true, false
	}
	return unescape.Replace(f), false, false
}

// Print writes rows to w. quiet asks for the Quiet template.
func Print[R any](w io.Writer, s Spec, quiet bool, rows []R) error {
	text, table, _ := s.plan(quiet)
	t, err := Parse(text)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	for _, r := range rows {
		if err := line(&body, t, r); err != nil {
			return err
		}
	}
	if !table {
		_, err = w.Write(body.Bytes())
		return err
	}
	var head bytes.Buffer
	if err := line(&head, t, s.Header); err != nil {
		return err
	}
	var out bytes.Buffer // a tabwriter writes cell by cell
	tw := tabwriter.NewWriter(&out, 10, 1, 3, ' ', 0)
	for _, text := range [][]byte{head.Bytes(), body.Bytes()} {
		if _, err := tw.Write(text); err != nil {
			return err
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err = w.Write(out.Bytes())
	return err
}

func line(b *bytes.Buffer, t *template.Template, data any) error {
	if err := t.Execute(b, data); err != nil {
		return fault.New(fault.Invalid, "template parsing error: %w", err)
	}
	b.WriteByte('\n')
	return nil
}
