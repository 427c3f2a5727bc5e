package format

import (
	"bytes"
	"text/tabwriter"
	"unicode/utf8"
)

// How a table looks: no column narrower than minWidth, with its gap.
const (
	minWidth = 10
	gap      = 3
)

// align turns tabs into columns. As a rule each line has as many tabs as the
// first; then it is two turns through the text. Whatever else there is goes to
// text/tabwriter, which makes a list of cells and takes five times as long.
func align(text []byte) ([]byte, error) {
	widths, ok := columns(text)
	if !ok {
		return tabwrite(text)
	}
	total := 0
	for _, w := range widths {
		total += w
	}
	out := make([]byte, 0, len(text)+bytes.Count(text, []byte{'\n'})*total)
	for line := range bytes.Lines(text) {
		for _, w := range widths {
			cell, rest, _ := bytes.Cut(line, []byte{'\t'})
			out = append(out, cell...)
			for range w - utf8.RuneCount(cell) {
				out = append(out, ' ')
			}
			line = rest
		}
		out = append(out, line...)
	}
	return out, nil
}

// columns measures all but the last, which has no width. It is not ok when a
// line has another number of tabs than the first, or no end, or characters
// that mean something to text/tabwriter.
func columns(text []byte) (widths []int, ok bool) {
	if !bytes.HasSuffix(text, []byte{'\n'}) || bytes.ContainsAny(text, "\v\f") || bytes.IndexByte(text, tabwriter.Escape) >= 0 {
		return nil, false
	}
	first, _, _ := bytes.Cut(text, []byte{'\n'})
	widths = make([]int, bytes.Count(first, []byte{'\t'}))
	for i := range widths {
		widths[i] = minWidth
	}
	for line := range bytes.Lines(text) {
		for i := range widths {
			cell, rest, ok := bytes.Cut(line, []byte{'\t'})
			if !ok {
				return nil, false
			}
			widths[i] = max(widths[i], utf8.RuneCount(cell)+gap)
			line = rest
		}
		if bytes.IndexByte(line, '\t') >= 0 {
			return nil, false
		}
	}
	return widths, true
}

func tabwrite(text []byte) ([]byte, error) {
	var out bytes.Buffer // a tabwriter writes cell by cell
	w := tabwriter.NewWriter(&out, minWidth, 1, gap, ' ', 0)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err := w.Flush()
	return out.Bytes(), err
}
