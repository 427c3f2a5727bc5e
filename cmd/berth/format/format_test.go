package format

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

type row struct {
	Name string
	Size int
	m    map[string]string
}

func (r row) Label(k string) string { return r.m[k] }

var testSpec = Spec{Table: "{{.Name}}\t{{.Size}}", Quiet: "{{.Name}}", Header: Header{"Name": "NAME", "Size": "SIZE"}}

func TestPrint(t *testing.T) {
	rows := []row{{"a", 1, map[string]string{"x.y": "v"}}, {"long-name", 22, nil}}
	for _, tt := range []struct {
		name, format string
		quiet        bool
		want         string
	}{
		{"default", "", false, "NAME        SIZE\na           1\nlong-name   22\n"},
		{"table word", "table", false, "NAME        SIZE\na           1\nlong-name   22\n"},
		{"quiet", "", true, "a\nlong-name\n"},
		{"own table", `table {{.Size}}\t{{.Label "x.y"}}`, false, "SIZE      Y\n1         v\n22        \n"},
		{"lines", "{{.Name}}={{.Size}}", false, "a=1\nlong-name=22\n"},
		{"escapes", `{{.Name}}\t.`, true, "a\t.\nlong-name\t.\n"},
		{"json", "json", false, `{"Name":"a","Size":1}` + "\n" + `{"Name":"long-name","Size":22}` + "\n"},
		{"functions", `{{upper .Name}} {{truncate .Name 2}} {{pad .Name 1 1}}|{{json .Size}} {{join (split .Name "-") "+"}} {{title .Name}}`, false, "A a  a |1 a A\nLONG-NAME lo  long-name |22 long+name Long-name\n"},
	} {
		var b bytes.Buffer
		s := testSpec
		s.Format = tt.format
		if err := Print(&b, s, tt.quiet, rows); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if d := cmp.Diff(tt.want, b.String()); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
	for _, bad := range []string{"{{.Nope}}", "{{", "{{nofunc}}"} {
		s := testSpec
		s.Format = bad
		if err := Print(&bytes.Buffer{}, s, false, rows); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestUses(t *testing.T) {
	for _, tt := range []struct {
		format string
		want   bool
	}{{"", true}, {"{{.Name}}", false}, {"table {{.Size}}", true}, {"json", true}} {
		s := testSpec
		s.Format = tt.format
		if got := s.Uses("Size"); got != tt.want {
			t.Errorf("%q uses Size: %v", tt.format, got)
		}
	}
}

func TestText(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain ünïcode\tand\nlines", "plain ünïcode\tand\nlines"},
		{"\x1b[2J", `\u001b[2J`},
		{"a\x7fb\u009bc", `a\u007fb\u009bc`},
		{"right\u202eleft", `right\u202eleft`},
		{"bad\xffbyte", `bad\xffbyte`},
		{"cut\xe2\x82", `cut\xe2\x82`},
	} {
		if got := Text(tt.in); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}

// However the text is cut into writes, nothing that a terminal obeys comes out.
func FuzzSafe(f *testing.F) {
	f.Add([]byte("a\x1b[0m\xe2\x82\xac\u202e"), 2)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		var b bytes.Buffer
		w := Safe(&b)
		n := 1 + (cut & 7)
		for len(in) > 0 {
			k := min(n, len(in))
			if _, err := w.Write(in[:k]); err != nil {
				t.Fatal(err)
			}
			in = in[k:]
		}
		out := b.String()
		if !utf8.ValidString(out) {
			t.Fatalf("%q is not UTF-8", out)
		}
		for _, r := range out {
			if unsafeRune(r) {
				t.Fatalf("%q has %U", out, r)
			}
		}
	})
}

// JSON on a terminal stays JSON and means the same.
func TestSafeKeepsJSON(t *testing.T) {
	want := map[string]string{"k": "\u202e\u0085\x7f"}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(Text(string(data))), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestHuman(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct{ got, want string }{
		{Ago(now.Add(-3*time.Minute), now), "3 minutes ago"},
		{Ago(time.Time{}, now), "N/A"},
		{Size(78_100_000), "78.1MB"},
		{Size(0), "0B"},
		{Command("sh", []string{"-c", "echo a long command line"}, false), `"sh -c 'echo a long …"`},
		{Command("echo", []string{"a b", "c"}, true), `"echo 'a b' c"`},
		{Command("sh", []string{"-c", "x"}, true), `"sh -c x"`},
		{ShortID("sha256:0123456789abcdef"), "0123456789ab"},
		{ShortID("abc"), "abc"},
		{Ellipsis("abcdef", 4), "abc…"},
		{Duration(-time.Second), "Less than a second"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
	if got := (Header{}).Label("com.example.my-key"); got != "MY KEY" {
		t.Errorf("label title %q", got)
	}
	if strings.Contains(pad("x", 1<<30, 0), "y") {
		t.Error("unreachable")
	}
}
