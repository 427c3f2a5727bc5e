package format

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Safe returns a writer that escapes what could drive a terminal: control
// characters other than tab and line feed, DEL, C1, bidirectional overrides
// and bytes that are no UTF-8. Escapes read \u001b, so JSON stays JSON.
func Safe(w io.Writer) io.Writer { return &safe{w: w} }

// Text escapes one string in the same way.
func Text(s string) string {
	if clean(s) {
		return s
	}
	var b strings.Builder
	sw := &safe{w: &b}
	_, _ = sw.Write([]byte(s))
	sw.flush()
	return b.String()
}

func clean(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || unsafeRune(r) {
			return false
		}
	}
	return true
}

type safe struct {
	w    io.Writer
	tail []byte // an unfinished UTF-8 sequence
}

func (s *safe) Write(p []byte) (int, error) {
	data := append(s.tail, p...)
	s.tail = nil
	out := make([]byte, 0, len(data)+16)
	for len(data) > 0 {
		if !utf8.FullRune(data) {
			s.tail = append([]byte(nil), data...)
			break
		}
		r, n := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && n == 1:
			out = fmt.Appendf(out, `\x%02x`, data[0])
		case unsafeRune(r):
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = append(out, data[:n]...)
		}
		data = data[n:]
	}
	if _, err := s.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush writes an unfinished sequence at the end of all.
func (s *safe) flush() {
	for _, c := range s.tail {
		_, _ = fmt.Fprintf(s.w, `\x%02x`, c)
	}
	s.tail = nil
}

func unsafeRune(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < 0x20, r >= 0x7f && r <= 0x9f:
		return true
	case r == 0x061c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true // marks that reorder text
	}
	return false
}
