package jsontext

import "testing"

func TestDepth(t *testing.T) {
	for text, want := range map[string]int{
		``: 0, `1`: 0, `{}`: 1, `[{"a":[]},{}]`: 3, `["[[[", "\"[", "\\"]`: 1, `]]][`: 0, `[[[`: 3,
	} {
		if got := Depth([]byte(text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}
