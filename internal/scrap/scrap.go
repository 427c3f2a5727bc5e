// Package scrap keeps the beginning of what another program says, for an error
// to quote.
//
//	exec.Cmd.Stderr ──► Scrap ──► String, Line
package scrap

import "strings"

// Max is how much is kept, in bytes.
const Max = 4 << 10

// Scrap is a writer that takes everything and keeps Max of it.
type Scrap struct{ text []byte }

// Write never fails: a program that says too much is no reason to stop it.
func (s *Scrap) Write(p []byte) (int, error) {
	s.text = append(s.text, p[:min(Max-len(s.text), len(p))]...)
	return len(p), nil
}

// String is what is kept.
func (s *Scrap) String() string { return string(s.text) }

// Line is the first line of it, without what is no text.
func (s *Scrap) Line() string {
	text, _, _ := strings.Cut(s.String(), "\n")
	return strings.TrimSpace(strings.ToValidUTF8(text, ""))
}
