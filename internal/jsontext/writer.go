package jsontext

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Writer makes a text, without white space, that encoding/json would make of
// the same values. Its zero value is ready.
type Writer struct{ text []byte }

// Bytes returns what was written.
func (w *Writer) Bytes() []byte { return w.text }

// comma separates a value from the one before it.
func (w *Writer) comma() {
	if n := len(w.text); n > 0 {
		switch w.text[n-1] {
		case '{', '[', ':':
		default:
			w.text = append(w.text, ',')
		}
	}
}

// Open begins an object or an array: '{' or '['.
func (w *Writer) Open(c byte) {
	w.comma()
	w.text = append(w.text, c)
}

// Close ends what Open began: '}' or ']'.
func (w *Writer) Close(c byte) { w.text = append(w.text, c) }

// Key writes a key; its value must follow.
func (w *Writer) Key(name string) *Writer {
	w.Text(name)
	w.text = append(w.text, ':')
	return w
}

// Text writes a string.
func (w *Writer) Text(s string) {
	w.comma()
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			quoted, _ := json.Marshal(s) // strings always can be
			w.text = append(w.text, quoted...)
			return
		}
	}
	w.text = append(w.text, '"')
	w.text = append(w.text, s...)
	w.text = append(w.text, '"')
}

// Int writes a whole number.
func (w *Writer) Int(n int64) {
	w.comma()
	w.text = strconv.AppendInt(w.text, n, 10)
}

// Uint writes a whole number.
func (w *Writer) Uint(n uint64) {
	w.comma()
	w.text = strconv.AppendUint(w.text, n, 10)
}

// Bool writes true or false.
func (w *Writer) Bool(b bool) {
	w.comma()
	w.text = strconv.AppendBool(w.text, b)
}

// Time writes an instant as RFC 3339 has it.
func (w *Writer) Time(t time.Time) { w.Text(t.Format(time.RFC3339Nano)) }

// Texts writes an array of strings.
func (w *Writer) Texts(list []string) {
	w.Open('[')
	for _, s := range list {
		w.Text(s)
	}
	w.Close(']')
}

// Table writes an object of strings, sorted; nil is null.
func (w *Writer) Table(table map[string]string) {
	if table == nil {
		w.comma()
		w.text = append(w.text, "null"...)
		return
	}
	w.Open('{')
	for _, key := range slices.Sorted(maps.Keys(table)) {
		w.Key(key).Text(table[key])
	}
	w.Close('}')
}
