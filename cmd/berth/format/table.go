package format

import (
	"bytes"
	"io"
	"reflect"
	"strings"
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

// Print writes rows to w, in one write. quiet asks for the Quiet template.
func Print[R any](w io.Writer, s Spec, quiet bool, rows []R) error {
	text, table, _ := s.plan(quiet)
	t, err := Parse(text)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if table {
		err = line(&b, t, s.Header)
	}
	if err == nil {
		err = lines(&b, t, rows)
	}
	if err != nil {
		return err
	}
	out := b.Bytes()
	if table {
		if out, err = align(out); err != nil {
			return err
		}
	}
	_, err = w.Write(out)
	return err
}

// lines writes a line for each row.
func lines[R any](b *bytes.Buffer, t *template.Template, rows []R) error {
	p, ok := plainOf(t, reflect.TypeFor[R]())
	if !ok {
		for _, r := range rows {
			if err := line(b, t, r); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range rows {
		before := b.Len()
		p.line(b, reflect.ValueOf(&rows[i]).Elem())
		if i == 0 { // the others are about as long
			b.Grow((b.Len() - before) * len(rows))
		}
	}
	return nil
}

func line(b *bytes.Buffer, t *template.Template, data any) error {
	if err := t.Execute(b, data); err != nil {
		return fault.New(fault.Invalid, "template parsing error: %w", err)
	}
	b.WriteByte('\n')
	return nil
}
