package digest

import (
	"bytes"
	"strings"
	"testing"

	godigest "github.com/opencontainers/go-digest"
)

// same compares with the library whose names and judgement this package has.
func same(t *testing.T, s string) {
	t.Helper()
	got, want := Digest(s).Validate(), godigest.Digest(s).Validate()
	if (got == nil) != (want == nil) || got != nil && got.Error() != want.Error() {
		t.Errorf("%q: %v, the library says %v", s, got, want)
	}
	if got != nil {
		return
	}
	if a, b := Digest(s).Algorithm().String(), godigest.Digest(s).Algorithm().String(); a != b {
		t.Errorf("%q: algorithm %q, the library says %q", s, a, b)
	}
	if a, b := Digest(s).Encoded(), godigest.Digest(s).Encoded(); a != b {
		t.Errorf("%q: encoded %q, the library says %q", s, a, b)
	}
}

var samples = []string{
	"", ":", "sha256", "sha256:", ":ab", "sha256:ab", "sha256:" + strings.Repeat("0", 64), "sha256:" + strings.Repeat("F", 64),
	"sha256:" + strings.Repeat("g", 64), "sha256:" + strings.Repeat("a", 65), "sha384:" + strings.Repeat("b", 96),
	"sha512:" + strings.Repeat("c", 128), "sha512:" + strings.Repeat("c", 64), "SHA256:" + strings.Repeat("a", 64),
	"md5:d41d8cd98f00b204e9800998ecf8427e", "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
	"sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564", "a..b:c", "a-:b", "-a:b", "a:b c", "a:b\n", "a\n:b", "a:b:c", "é:b", "a:é",
	"sha256:" + strings.Repeat("0", 63) + "\n", " sha256:" + strings.Repeat("0", 64), "sha256:" + strings.Repeat("0", 63) + ":",
}

func TestValidateAgrees(t *testing.T) {
	for _, s := range samples {
		same(t, s)
	}
}

func FuzzValidate(f *testing.F) {
	for _, s := range samples {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { same(t, s) })
}

func TestDigestsAgree(t *testing.T) {
	for _, content := range []string{"", "a", strings.Repeat("some content", 10_000)} {
		if got, want := FromString(content).String(), godigest.FromString(content).String(); got != want {
			t.Errorf("FromString: %s, want %s", got, want)
		}
		if got, err := FromReader(strings.NewReader(content)); err != nil || got != FromBytes([]byte(content)) {
			t.Errorf("FromReader: %s, %v", got, err)
		}
		for _, a := range []Algorithm{SHA256, SHA384, SHA512} {
			h := a.Hash()
			h.Write([]byte(content))
			want := godigest.Algorithm(a).FromBytes([]byte(content)).String()
			if got := NewDigest(a, h).String(); got != want {
				t.Errorf("%s: %s, want %s", a, got, want)
			}
			if got := a.FromBytes([]byte(content)).String(); got != want {
				t.Errorf("%s of bytes: %s, want %s", a, got, want)
			}
		}
	}
	broken := errReader{}
	if d, err := FromReader(broken); err == nil {
		t.Errorf("a reader that fails has the digest %s", d)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, bytes.ErrTooLarge }

func TestNoDigestPanics(t *testing.T) {
	for name, use := range map[string]func(){
		"Algorithm": func() { Digest("x").Algorithm() },
		"Encoded":   func() { Digest("x").Encoded() },
		"Hash":      func() { Algorithm("md5").Hash() },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			use()
		})
	}
}
