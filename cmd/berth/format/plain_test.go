package format

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type texts struct{ Name, Image, Status string }

var textsSpec = Spec{
	Table:  "{{.Name}}\t{{.Image}}\t{{.Status}}",
	Header: Header{"Name": "NAME", "Image": "IMAGE", "Status": "STATUS"},
}

// pointers to rows are not for plain: text/template writes them.
func pointers(rows []texts) (list []*texts) {
	for i := range rows {
		list = append(list, &rows[i])
	}
	return list
}

func TestPlainWritesWhatTemplatesDo(t *testing.T) {
	rows := []texts{{"web", "alpine", "Up"}, {"a-rather-long-name", "ünïcode", ""}, {"tab\tin it", "<&>", "new\nline"}, {}}
	for _, f := range []string{
		"", "table {{.Name}}", "{{.Name}}", "{{ .Name -}} x {{- .Image }}", `{{.Name}}\t{{"x"}}`, "{{/* note */}}{{.Name}}", "{{.Name.Nope}}", "{{.Nope}}",
		"{{$x := .Name}}{{$x}}", "{{.}}", "{{.Name | upper}}", "{{if .Name}}y{{end}}", "{{define `x`}}{{end}}", `table {{.Nope}}\t{{.Name}}`,
	} {
		for n := range len(rows) + 1 {
			s := textsSpec
			s.Format = f
			var got, want bytes.Buffer
			err, wantErr := Print(&got, s, false, rows[:n]), Print(&want, s, false, pointers(rows[:n]))
			if (err == nil) != (wantErr == nil) {
				t.Errorf("%q: %v, want %v", f, err, wantErr)
			}
			if f == "{{.}}" {
				continue // a pointer is written with an ampersand
			}
			if d := cmp.Diff(want.String(), got.String()); d != "" {
				t.Errorf("%q: %s", f, d)
			}
		}
	}
}

func FuzzAlign(f *testing.F) {
	for _, s := range []string{
		"", "\n", "a", "a\tb\nc\td\n", "long long long cell\t\té\n\t\t\n", "a\tb\nc\n", "a\n\nb\tc\n", "a\tb", "\xff\t\n", "a\vb\tc\n", "a\fb\n", "\xc3\tx\n", "a\tb\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := align([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		want, err := tabwrite([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Errorf("%q: %s", s, d)
		}
	})
}

func BenchmarkPrint(b *testing.B) {
	rows := make([]texts, 1000)
	for i := range rows {
		rows[i] = texts{strings.Repeat("n", i%20), "localhost/image:1", "Up 2 minutes"}
	}
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			_ = Print(io.Discard, textsSpec, false, rows)
		}
	})
	b.Run("template", func(b *testing.B) {
		list := pointers(rows)
		for b.Loop() {
			_ = Print(io.Discard, textsSpec, false, list)
		}
	})
}
