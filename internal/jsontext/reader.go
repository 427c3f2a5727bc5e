package jsontext

import (
	"encoding/json"
	"iter"
	"math"
	"slices"
	"strings"
	"time"
)

// Decode reads data into v, whatever it was before: by read, or, when that
// stops, by encoding/json alone. The error is that of encoding/json.
func Decode[T any](data []byte, v *T, read func(*Reader, *T)) error {
	if Try(data, v, read) {
		return nil
	}
	return json.Unmarshal(data, v)
}

// Try reads data into v and says whether it could. If not, v is zero.
func Try[T any](data []byte, v *T, read func(*Reader, *T)) bool {
	var zero T
	r := Reader{rest: string(data)}
	*v = zero
	if read(&r, v); !r.done() {
		*v = zero
		return false
	}
	return true
}

// Reader goes through a text. Once it is bad it stays so and gives zeros.
// Strings that it returns share the memory of the text.
type Reader struct {
	rest string
	bad  bool
}

// done says whether the whole text was read.
func (r *Reader) done() bool { return !r.bad && r.next() == 0 && r.rest == "" }

// next skips white space and returns the byte behind it, 0 at the end.
func (r *Reader) next() byte {
	for i := 0; i < len(r.rest); i++ {
		switch c := r.rest[i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			r.rest = r.rest[i:]
			return c
		}
	}
	r.rest = ""
	return 0
}

// take skips c, if it comes next.
func (r *Reader) take(c byte) bool {
	if r.next() != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *Reader) want(c byte) {
	if !r.take(c) {
		r.bad = true
	}
}

// word skips a literal.
func (r *Reader) word(s string) bool {
	rest, ok := strings.CutPrefix(r.rest, s)
	if ok {
		r.rest = rest
	}
	return ok
}

// null skips null, if it comes next.
func (r *Reader) null() bool {
	if r.next() != 'n' {
		return false
	}
	r.bad = r.bad || !r.word("null")
	return true
}

// Object gives the keys of an object, whose values the loop must read. Keys
// with null are left out, which is what they mean. A key that comes twice, be
// it in another case, is not for this reader: encoding/json merges the two.
func (r *Reader) Object() iter.Seq[string] {
	return func(yield func(string) bool) {
		var room [24]string
		seen := room[:0]
		for key := range r.pairs() {
			if contains(seen, key) {
				r.bad = true
			}
			seen = append(seen, key)
			if !r.null() && (r.bad || !yield(key)) {
				return
			}
		}
	}
}

// contains compares as encoding/json compares keys.
func contains(seen []string, key string) bool {
	for _, s := range seen {
		if strings.EqualFold(s, key) {
			return true
		}
	}
	return false
}

// Array gives a turn for each element of an array, which the loop must read.
func (r *Reader) Array() iter.Seq[int] {
	return func(yield func(int) bool) {
		r.want('[')
		for i, more := 0, !r.take(']'); more && !r.bad; i++ {
			if !yield(i) {
				return
			}
			if more = r.take(','); !more {
				r.want(']')
			}
		}
	}
}

// Text reads a string.
func (r *Reader) Text() string {
	tok, plain := r.token()
	switch {
	case r.bad:
		return ""
	case plain:
		return tok[1 : len(tok)-1]
	}
	var s string
	if json.Unmarshal([]byte(tok), &s) != nil {
		r.bad = true
	}
	return s
}

// token takes a string with its quotes; plain says that it stands for itself.
func (r *Reader) token() (tok string, plain bool) {
	if r.next() != '"' {
		r.bad = true
		return "", false
	}
	plain = true
	s := r.rest // the loop is most of the work: it stays in registers
	for i := 1; i < len(s); i++ {
		switch b := s[i]; {
		case b == '"':
			r.rest = s[i+1:]
			return s[:i+1], plain
		case b == '\\':
			plain = false
			i++
		case b < ' ' || b >= 0x80:
			plain = false
		}
	}
	r.bad = true
	return "", false
}

// Texts reads an array of strings.
func (r *Reader) Texts() []string {
	list := []string{}
	for range r.Array() {
		if list = append(list, r.Text()); len(list) == 1 {
			list = slices.Grow(list, 7)
		}
	}
	return list
}

// Table reads an object of strings. A null in it is not for this reader.
func (r *Reader) Table() map[string]string {
	table := map[string]string{}
	for key := range r.pairs() {
		table[key] = r.Text()
	}
	return table
}

// pairs gives the keys of an object that may have any, whose values, null as
// well, the loop must read.
func (r *Reader) pairs() iter.Seq[string] {
	return func(yield func(string) bool) {
		r.want('{')
		for more := !r.take('}'); more && !r.bad; {
			key := r.Text()
			r.want(':')
			if r.bad || !yield(key) {
				return
			}
			if more = r.take(','); !more {
				r.want('}')
			}
		}
	}
}

// Time reads an instant as RFC 3339 has it.
func (r *Reader) Time() (t time.Time) {
	tok, _ := r.token()
	if r.bad || t.UnmarshalJSON([]byte(tok)) != nil {
		r.bad = true
		return time.Time{}
	}
	return t
}

// Bool reads true or false.
func (r *Reader) Bool() bool {
	switch r.next() {
	case 't':
		r.bad = r.bad || !r.word("true")
		return !r.bad
	case 'f':
		r.bad = r.bad || !r.word("false")
	default:
		r.bad = true
	}
	return false
}

// digits takes a number of at most limit.
func (r *Reader) digits(limit uint64) (n uint64) {
	i := 0
	for ; i < len(r.rest) && r.rest[i] >= '0' && r.rest[i] <= '9'; i++ {
		d := uint64(r.rest[i] - '0')
		if n > (math.MaxUint64-d)/10 {
			r.bad = true
			return 0
		}
		n = n*10 + d
	}
	if i == 0 || i > 1 && r.rest[0] == '0' || n > limit {
		r.bad = true
		return 0
	}
	r.rest = r.rest[i:]
	switch r.next() {
	case ',', ']', '}', 0:
		return n
	}
	r.bad = true // a fraction or an exponent
	return 0
}

// Int reads a whole number that fits bits.
func (r *Reader) Int(bits int) int64 {
	most := uint64(1)<<(bits-1) - 1
	if r.take('-') {
		return -int64(r.digits(most + 1))
	}
	return int64(r.digits(most))
}

// Uint reads a whole number, not negative, that fits bits.
func (r *Reader) Uint(bits int) uint64 {
	r.next()
	return r.digits(math.MaxUint64 >> (64 - bits))
}

// Leave has encoding/json read the value of key into v, a pointer to the
// struct whose key it is.
func (r *Reader) Leave(key string, v any) {
	name, err := json.Marshal(key)
	raw := r.value()
	if err != nil || r.bad || json.Unmarshal([]byte("{"+string(name)+":"+raw+"}"), v) != nil {
		r.bad = true
	}
}

// Skip passes over a value, without looking whether it is valid.
func (r *Reader) Skip() { r.value() }

// value takes any value, without looking whether it is valid.
func (r *Reader) value() string {
	r.next()
	start, depth := r.rest, 0
	for {
		switch r.next() {
		case 0:
			r.bad = true
		case '"':
			r.token()
		case '{', '[':
			depth++
			r.rest = r.rest[1:]
		case '}', ']':
			depth--
			r.rest = r.rest[1:]
		case ',', ':':
			r.rest = r.rest[1:]
		default: // a number or a word
			rest := strings.TrimLeft(r.rest, "+-.0123456789Eaeflnrstu")
			r.bad = len(rest) == len(r.rest)
			r.rest = rest
		}
		if r.bad || depth < 0 {
			r.bad = true
			return ""
		}
		if depth == 0 {
			return start[:len(start)-len(r.rest)]
		}
	}
}

// List reads an array whose elements read reads.
func List[T any](r *Reader, read func(*Reader, *T)) []T {
	list := []T{}
	for range r.Array() {
		var v T
		read(r, &v)
		list = append(list, v)
	}
	return list
}
