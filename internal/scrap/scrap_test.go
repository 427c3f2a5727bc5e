package scrap

import (
	"strings"
	"testing"
)

func TestScrap(t *testing.T) {
	var s Scrap
	if s.Line() != "" || s.String() != "" {
		t.Errorf("nothing was said: %q", s.String())
	}
	for _, p := range []string{" it \xff broke\r\n", "more", strings.Repeat("x", Max), "and more"} {
		if n, err := s.Write([]byte(p)); n != len(p) || err != nil {
			t.Errorf("wrote %d of %d, %v", n, len(p), err)
		}
	}
	if got := s.Line(); got != "it  broke" {
		t.Errorf("line %q", got)
	}
	if got := s.String(); len(got) != Max || !strings.HasPrefix(got, " it \xff broke\r\nmorexx") {
		t.Errorf("%d bytes: %.20q", len(got), got)
	}
}
