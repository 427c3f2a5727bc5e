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
