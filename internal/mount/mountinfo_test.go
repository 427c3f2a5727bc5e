package mount

import "testing"

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		``: ``, `/a`: `/a`, `/a\040b`: `/a b`, `\011\012\134`: "\t\n\\", `\303\251`: "é", `\377`: "\xff",
		`\`: `\`, `\04`: `\04`, `\400`: `\400`, `\08a`: `\08a`, `\134040`: `\040`,
	} {
		if got := Unescape(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestParsePoint(t *testing.T) {
	const line = `36 31 0:33 / /a\040b rw,relatime shared:5 - proc proc rw`
	if p, ok := ParsePoint(line + "\n"); !ok || p != (Point{36, 31, "/a b", "proc"}) {
		t.Errorf("%+v, %v", p, ok)
	}
	for _, bad := range []string{"", "36 31 0:33 / /a rw", "36 31 0:33 / - proc proc rw", "x 31 0:33 / /a rw - proc proc rw", "36 -1 0:33 / /a rw - proc proc rw", "36 31 0:33 / /a rw - "} {
		if p, ok := ParsePoint(bad); ok {
			t.Errorf("%q is %+v", bad, p)
		}
	}
	if all := Points(line + "\nno sense\n\n" + line); len(all) != 2 {
		t.Errorf("%+v", all)
	}
}

func FuzzParsePoint(f *testing.F) {
	f.Add("36 31 0:33 / /proc rw,relatime shared:5 - proc proc rw")
	f.Add("36 31")
	f.Fuzz(func(t *testing.T, line string) {
		if p, ok := ParsePoint(line); ok && (p.ID < 0 || p.Parent < 0 || p.Path == "" || p.Kind == "") {
			t.Errorf("%q is %+v", line, p)
		}
	})
}
