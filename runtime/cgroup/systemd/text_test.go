package systemd

import (
	"reflect"
	"testing"
)

func TestParseText(t *testing.T) {
	for _, tt := range []struct {
		text, signature string
		want            any // nil: an error
	}{
		{"true", "b", true},
		{" false ", "b", false},
		{"boolean true", "b", true},
		{"@b true", "b", true},
		{"1", "b", nil},
		{"truer", "b", nil},
		{"42", "t", uint64(42)},
		{"uint64 123456789", "t", uint64(123456789)},
		{"@t 0x2a", "t", uint64(42)},
		{"052", "t", uint64(42)},
		{"uint64 18446744073709551615", "t", uint64(1<<64 - 1)},
		{"-1", "t", nil},
		{"int32 1", "t", nil},
		{"1.5", "t", nil},
		{"'1'", "t", nil},
		{"uint64", "t", nil},
		{"", "t", nil},
		{"1 2", "t", nil},
		{"1_0", "t", nil},
		{"18446744073709551616", "t", nil},
		{"15", "i", int32(15)},
		{"-15", "i", int32(-15)},
		{"int32 15", "i", int32(15)},
		{"2147483648", "i", nil},
		{"5", "u", uint32(5)},
		{"4294967296", "u", nil},
		{"1.5", "d", 1.5},
		{"uint64 3", "d", 3.0},
		{"byte 3", "d", 3.0},
		{"byte 300", "d", nil},
		{"1e3", "d", 1000.0},
		{"inf", "d", nil},
		{"string '1'", "d", nil},
		{"'inactive-or-failed'", "s", "inactive-or-failed"},
		{`"it's"`, "s", "it's"},
		{`'it\'s'`, "s", "it's"},
		{`'a\tb\\\u00e9\U0001F600'`, "s", "a\tb\\é😀"},
		{"plain", "s", nil},
		{"'open", "s", nil},
		{`'\u12'`, "s", nil},
		{`'\ud800'`, "s", nil},
		{`'\u0000'`, "s", nil},
		{"'\xff'", "s", nil},
		{`'\`, "s", nil},
		{"[]", "as", []string{}},
		{"@as []", "as", []string{}},
		{"@as[ ]", "as", []string{}},
		{"['a', \"b\"]", "as", []string{"a", "b"}},
		{"['a',]", "as", nil},
		{"['a'", "as", nil},
		{"[1]", "as", nil},
		{"'a'", "as", nil},
		{"[['a']]", "as", nil},
		{"[byte 0x01, 2]", "ay", []byte{1, 2}},
		{"[]", "ay", []byte{}},
		{"b'ab'", "ay", []byte("ab")},
		{"[256]", "ay", nil},
		{"[int32 1]", "ay", nil},
	} {
		got, err := ParseText(tt.text, tt.signature)
		if (err != nil) != (tt.want == nil) || tt.want != nil && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s as %s: %#v, %v; want %#v", tt.text, tt.signature, got, err, tt.want)
		}
	}
}

// Whatever is accepted can be sent.
func FuzzParseText(f *testing.F) {
	for _, text := range []string{"uint64 5", "@t 5", "['a', 'b']", "b'x'", `'\u00e9'`, "[0x1]", "true", "1.5"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, signature := range []string{"b", "i", "u", "t", "s", "as", "ay"} {
			if v, err := ParseText(text, signature); err == nil {
				w := &writer{}
				w.variant(v)
				if got := string(w.b[1 : 1+len(signature)]); got != signature {
					t.Errorf("%q as %s is sent as %s", text, signature, got)
				}
			}
		}
		ParseText(text, "d")
	})
}
