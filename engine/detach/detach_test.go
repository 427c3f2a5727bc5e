package detach

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []byte
		bad  bool
	}{
		{in: "", want: nil},
		{in: Default, want: []byte{16, 17}},
		{in: "a", want: []byte("a")},
		{in: "ctrl-a,a,b", want: []byte{1, 'a', 'b'}},
		{in: "ctrl-@", want: []byte{0}},
		{in: "ctrl-[,ctrl-_", want: []byte{27, 31}},
		{in: "ctrl-A", bad: true},
		{in: "ctrl-", bad: true},
		{in: "a,,b", bad: true},
		{in: "invalid", bad: true},
		{in: "é", bad: true},
	} {
		got, err := Parse(tt.in)
		if (err != nil) != tt.bad {
			t.Errorf("Parse(%q) error %v, want bad %v", tt.in, err, tt.bad)
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("Parse(%q): %s", tt.in, d)
		}
	}
}

func TestReaderReplaysPartialSequence(t *testing.T) {
	for _, tt := range []struct{ name, keys, in, out string }{
		{"complete", "pq", "abpqcd", "ab"},
		{"partial then other", "pq", "abpxq", "abpxq"},
		{"partial twice", "pq", "ppq", "p"},
		{"overlap", "aab", "aaab", "a"},
		{"at end of input", "pq", "abp", "abp"},
		{"no keys", "", "abc", "abc"},
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader} {
			got, err := io.ReadAll(NewReader(wrap(bytes.NewBufferString(tt.in)), []byte(tt.keys)))
			if string(got) != tt.out {
				t.Errorf("%s/%s: got %q, want %q", tt.name, name, got, tt.out)
			}
			if detached := errors.Is(err, ErrDetached); detached != (tt.out != tt.in) {
				t.Errorf("%s/%s: detached %v (%v)", tt.name, name, detached, err)
			}
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("pq"), []byte("abpqcd"), 1)
	f.Add([]byte("aab"), []byte("aaaab"), 3)
	f.Fuzz(func(t *testing.T, keys, in []byte, size int) {
		if len(keys) == 0 || len(keys) > 8 {
			return
		}
		want, detached := in, false
		if i := bytes.Index(in, keys); i >= 0 {
			want, detached = in[:i], true
		}
		r := NewReader(bytes.NewReader(in), keys)
		var got []byte
		buf := make([]byte, 1+(size&15))
		var err error
		for err == nil {
			var n int
			n, err = r.Read(buf)
			got = append(got, buf[:n]...)
		}
		if !bytes.Equal(got, want) || errors.Is(err, ErrDetached) != detached {
			t.Fatalf("keys %q in %q: got %q %v, want %q detached %v", keys, in, got, err, want, detached)
		}
	})
}
