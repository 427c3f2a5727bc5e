package systemd

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/berth-engine/berth/internal/fault"
)

// ParseText reads a value in GVariant's text format, as people write it:
//
//	true   42   0x2a   uint64 42   @t 42   1.5   'text'   "text"   ['a', 'b']   b'bytes'
//
// signature is the type that is wanted: b, i, u, t, d, s, as or ay. A number
// without a type has the wanted one; a type that is given must be it, but for d,
// which takes every number.
func ParseText(text, signature string) (any, error) {
	p := textParser{rest: text}
	v, err := p.value(signature)
	if err == nil {
		p.space()
		if p.rest != "" {
			err = p.bad("the end")
		}
	}
	if err != nil {
		return nil, fault.Op("value", strconv.Quote(text), err)
	}
	return v, nil
}

type textParser struct{ rest string }

func (p *textParser) bad(want string) error {
	if p.rest == "" {
		return fault.New(fault.Invalid, "it ends where %s should stand", want)
	}
	return fault.New(fault.Invalid, "%s should stand where %q begins", want, p.rest)
}

func (p *textParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\n\r") }

// word takes letters, digits and what numbers have.
func (p *textParser) word() string {
	end := strings.IndexFunc(p.rest, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '+' || r == '-' || r == '.')
	})
	if end < 0 {
		end = len(p.rest)
	}
	w := p.rest[:end]
	p.rest = p.rest[end:]
	return w
}

// typeWord is the signature of what a type is called in front of a value.
func typeWord(w string) string {
	switch w {
	case "boolean":
		return "b"
	case "byte":
		return "y"
	case "int16":
		return "n"
	case "uint16":
		return "q"
	case "int32":
		return "i"
	case "uint32":
		return "u"
	case "int64":
		return "x"
	case "uint64":
		return "t"
	case "double":
		return "d"
	case "string":
		return "s"
	}
	return ""
}

// typed takes the type in front of a value, if there is one, and gives it.
func (p *textParser) typed() string {
	p.space()
	if rest, ok := strings.CutPrefix(p.rest, "@"); ok {
		end := strings.IndexAny(rest+" ", " \t\n\r[")
		p.rest = rest[end:]
		return rest[:end]
	}
	before := p.rest
	if t := typeWord(p.word()); t != "" {
		return t
	}
	p.rest = before
	return ""
}

func (p *textParser) value(signature string) (any, error) {
	kind := p.typed()
	if number := strings.Contains("ynqiuxtd", kind); kind != "" && kind != signature && !(number && signature == "d") {
		return nil, fault.New(fault.Invalid, "it is of type %q and has to be of type %q", kind, signature)
	}
	p.space()
	switch signature {
	case "s":
		return p.quoted()
	case "as":
		return list(p, (*textParser).quoted)
	case "ay":
		if rest, ok := strings.CutPrefix(p.rest, "b"); ok && rest != "" && (rest[0] == '\'' || rest[0] == '"') {
			p.rest = rest
			s, err := p.quoted()
			return []byte(s), err
		}
		return list(p, (*textParser).octet)
	case "b":
		switch before := p.rest; p.word() {
		case "true":
			return true, nil
		case "false":
			return false, nil
		default:
			p.rest = before
			return nil, p.bad("true or false")
		}
	}
	return p.number(signature, kind)
}

// number reads a number of the wanted type, which has to fit the type that was
// given, too.
func (p *textParser) number(signature, kind string) (any, error) {
	before := p.rest
	w := p.word()
	if kind == "" {
		kind = signature
	}
	var v any
	var f float64
	var err error
	switch bits := map[string]int{"y": 8, "n": 16, "q": 16, "i": 32, "u": 32, "x": 64, "t": 64}[kind]; kind {
	case "y", "q", "u", "t":
		var n uint64
		n, err = strconv.ParseUint(strings.TrimPrefix(w, "+"), 0, bits)
		v, f = n, float64(n)
	case "n", "i", "x":
		var n int64
		n, err = strconv.ParseInt(w, 0, bits)
		v, f = n, float64(n)
	default:
		f, err = strconv.ParseFloat(w, 64)
		v = f
	}
	if err != nil || strings.Contains(w, "_") || math.IsNaN(f) || math.IsInf(f, 0) {
		p.rest = before
		return nil, p.bad("a number of type " + kind)
	}
	switch n := v.(type) {
	case uint64:
		if signature == "u" {
			return uint32(n), nil
		}
	case int64:
		if signature == "i" {
			return int32(n), nil
		}
	}
	if signature == "d" {
		return f, nil
	}
	return v, nil
}

func (p *textParser) octet() (byte, error) {
	kind := p.typed()
	if kind != "" && kind != "y" {
		return 0, fault.New(fault.Invalid, "an element is of type %q and has to be of type \"y\"", kind)
	}
	p.space()
	v, err := p.number("y", "y")
	if err != nil {
		return 0, err
	}
	return byte(v.(uint64)), nil
}

// list reads [a, b, c].
func list[T any](p *textParser, element func(*textParser) (T, error)) ([]T, error) {
	rest, ok := strings.CutPrefix(p.rest, "[")
	if !ok {
		return nil, p.bad("[")
	}
	p.rest = rest
	out := []T{}
	for {
		p.space()
		if rest, ok := strings.CutPrefix(p.rest, "]"); ok && len(out) == 0 {
			p.rest = rest
			return out, nil
		}
		v, err := element(p)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		p.space()
		switch rest, more := strings.CutPrefix(p.rest, ","); {
		case more:
			p.rest = rest
		case strings.HasPrefix(p.rest, "]"):
			p.rest = p.rest[1:]
			return out, nil
		default:
			return nil, p.bad(", or ]")
		}
	}
}

// quoted reads a string in single or double quotes.
func (p *textParser) quoted() (string, error) {
	if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
		return "", p.bad("a string in quotes")
	}
	quote := p.rest[0]
	var b strings.Builder
	for i := 1; i < len(p.rest); {
		switch c := p.rest[i]; {
		case c == quote:
			p.rest = p.rest[i+1:]
			if s := b.String(); utf8.ValidString(s) && !strings.Contains(s, "\x00") {
				return s, nil
			}
			return "", fault.New(fault.Invalid, "a string is not UTF-8, or has a NUL")
		case c == '\\':
			r, n := escape(p.rest[i+1:])
			if n == 0 {
				p.rest = p.rest[i:]
				return "", p.bad("an escape that there is")
			}
			b.WriteRune(r)
			i += 1 + n
		default:
			b.WriteByte(c)
			i++
		}
	}
	p.rest = ""
	return "", p.bad("the closing quote")
}

// escape reads what follows a backslash and how long it is; 0: nothing known.
func escape(s string) (rune, int) {
	if s == "" {
		return 0, 0
	}
	if i := strings.IndexByte("abfnrtv", s[0]); i >= 0 {
		return rune("\a\b\f\n\r\t\v"[i]), 1
	}
	digits := map[byte]int{'u': 4, 'U': 8}[s[0]]
	switch {
	case digits == 0 && s[0] < utf8.RuneSelf:
		return rune(s[0]), 1 // \\, quotes, and what means itself
	case digits == 0 || len(s) <= digits:
		return 0, 0
	}
	n, err := strconv.ParseUint(s[1:1+digits], 16, 32)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return 0, 0
	}
	return rune(n), 1 + digits
}
