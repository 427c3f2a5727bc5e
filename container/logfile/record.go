package logfile

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/berth-engine/berth/internal/fault"
)

// record is one line of the file.
type record struct {
	text   []byte // with its "\n" if the payload wrote one
	stream Stream
	time   time.Time
}

// The fixed parts of a record as this package writes it.
const (
	textKey   = `{"log":"`
	streamKey = `","stream":"`
	rawKey    = `","raw":"`
	timeKey   = `","time":"`
	recordEnd = `"}`
)

// appendRecord appends r as one line, LF included.
func appendRecord(dst []byte, r record) []byte {
	dst = append(dst, textKey...)
	dst, exact := appendText(dst, r.text)
	dst = append(dst, streamKey...)
	dst = append(dst, r.stream.String()...)
	if !exact {
		dst = append(dst, rawKey...)
		dst = base64.StdEncoding.AppendEncode(dst, r.text)
	}
	dst = append(dst, timeKey...)
	dst = r.time.UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, recordEnd+"\n"...)
}

const hex = "0123456789abcdef"

// appendText escapes text for a JSON string; exact is false when bytes that
// are not UTF-8 had to be replaced.
func appendText(dst, text []byte) (_ []byte, exact bool) {
	exact = true
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRune(text[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			exact = false
		}
		dst = append(dst, text[start:i]...)
		dst = appendEscape(dst, c)
		i += size
		start = i
	}
	return append(dst, text[start:]...), exact
}

func appendEscape(dst []byte, c byte) []byte {
	switch {
	case c == '\n':
		return append(dst, `\n`...)
	case c == '\r':
		return append(dst, `\r`...)
	case c == '\t':
		return append(dst, `\t`...)
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c < ' ':
		return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
	}
	return utf8.AppendRune(dst, utf8.RuneError)
}

// parse decodes a line without its LF. text is appended to buf[:0].
func parse(line, buf []byte) (record, error) {
	if r, ok := parseOwn(line, buf); ok {
		return r, nil
	}
	return parseJSON(line, buf)
}

// parseOwn is the fast way for lines in the very form of appendRecord.
func parseOwn(line, buf []byte) (r record, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(textKey))
	if !ok {
		return r, false
	}
	if r.text, rest, ok = unescape(buf[:0], rest); !ok {
		return r, false
	}
	var word []byte
	if word, rest, ok = field(rest, streamKey); !ok {
		return r, false
	}
	if r.stream, ok = streamOf(word); !ok {
		return r, false
	}
	if raw, after, has := field(rest, rawKey); has {
		var err error
		if r.text, err = base64.StdEncoding.AppendDecode(buf[:0], raw); err != nil {
			return r, false
		}
		rest = after
	}
	if word, rest, ok = field(rest, timeKey); !ok || string(rest) != recordEnd {
		return r, false
	}
	var err error
	r.time, err = time.Parse(time.RFC3339Nano, string(word))
	return r, err == nil
}

// field takes `","key":"value` off s, up to the closing quote. Values with
// escapes are for the slow way.
func field(s []byte, key string) (value, rest []byte, ok bool) {
	s, ok = bytes.CutPrefix(s, []byte(key))
	if !ok {
		return nil, nil, false
	}
	end := bytes.IndexByte(s, '"')
	if end < 0 || !plain(s[:end]) {
		return nil, nil, false
	}
	return s[:end], s[end:], true
}

func plain(s []byte) bool {
	for _, c := range s {
		if c < ' ' || c >= utf8.RuneSelf || c == '\\' {
			return false
		}
	}
	return true
}

// unescape appends the JSON string at the start of s up to its closing quote,
// which stays in rest. Surrogate pairs and errors are for the slow way.
func unescape(dst, s []byte) (text, rest []byte, ok bool) {
	for {
		i := bytes.IndexAny(s, "\"\\")
		if i < 0 || !clean(s[:i]) {
			return nil, nil, false
		}
		dst = append(dst, s[:i]...)
		s = s[i:]
		if s[0] == '"' {
			return dst, s, true
		}
		if len(s) < 2 {
			return nil, nil, false
		}
		switch s[1] {
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case '"', '\\', '/':
			dst = append(dst, s[1])
		case 'u':
			r, valid := hex4(s[2:])
			if !valid {
				return nil, nil, false
			}
			dst = utf8.AppendRune(dst, r)
			s = s[4:]
		default:
			return nil, nil, false
		}
		s = s[2:]
	}
}

// clean reports whether s may stand in a JSON string as it is.
func clean(s []byte) bool {
	for _, c := range s {
		if c < ' ' {
			return false
		}
	}
	return utf8.Valid(s)
}

func hex4(s []byte) (r rune, ok bool) {
	if len(s) < 4 {
		return 0, false
	}
	for _, c := range s[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, r < 0xd800 || r > 0xdfff
}

// parseJSON reads what another program may have written in the same format.
func parseJSON(line, buf []byte) (record, error) {
	var j struct {
		Log    *string   `json:"log"`
		Stream string    `json:"stream"`
		Raw    []byte    `json:"raw"`
		Time   time.Time `json:"time"`
	}
	if err := json.Unmarshal(line, &j); err != nil {
		return record{}, fault.New(fault.Damaged, "log line: %w", err)
	}
	stream, ok := streamOf([]byte(j.Stream))
	if !ok || j.Log == nil {
		return record{}, fault.New(fault.Damaged, "log line without text or stream")
	}
	r := record{stream: stream, time: j.Time, text: append(buf[:0], *j.Log...)}
	if len(j.Raw) > 0 {
		r.text = append(buf[:0], j.Raw...)
	}
	return r, nil
}

func streamOf(word []byte) (Stream, bool) {
	switch string(word) {
	case "stdout":
		return Stdout, true
	case "stderr":
		return Stderr, true
	}
	return 0, false
}
