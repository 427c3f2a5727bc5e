package courier

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/berth-engine/berth/image/layer"
	"github.com/berth-engine/berth/image/layer/codec"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/test/fixture"
)

// decoder is berth-registry.
func decoder(t *testing.T) layer.Decoder {
	exe := fixture.Binaries(t).Registry
	return Decode(func() (string, error) { return exe, nil })
}

func gz(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zst(t *testing.T, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

// bz compresses with Debian's bzip2; Go has none.
func bz(t *testing.T, text string) string {
	t.Helper()
	cmd := exec.Command("bzip2", "-c")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		fixture.Lack(t, "bzip2: %v", err)
	}
	return string(out)
}

// outcome is all that a caller sees of a stream.
func outcome(r io.Reader, d layer.Decoder) string {
	z, err := layer.Decompress(r, d)
	if err != nil {
		return fmt.Sprintf("open: %v (%v)", err, fault.KindOf(err))
	}
	defer z.Close()
	plain, err := io.ReadAll(z)
	if err != nil {
		return fmt.Sprintf("%v (%v)", err, fault.KindOf(err))
	}
	return fmt.Sprintf("%d bytes, %.40q", len(plain), plain)
}

// The program gives what its codec gives in this very process, also in words.
func TestDecodeAgrees(t *testing.T) {
	long := strings.Repeat("a layer of an image, somewhat longer than one buffer\n", 100_000)
	for _, tt := range []struct{ name, in string }{
		{"plain", "no compression"},
		{"gzip", gz(t, long)},
		{"gzip twice", gz(t, "one") + gz(t, "two")},
		{"zstd", zst(t, long)},
		{"zstd twice", zst(t, "one") + zst(t, "two")},
		{"bzip2", bz(t, long)},
		{"gzip cut off", gz(t, long)[:5000]},
		{"zstd cut off", zst(t, long)[:200]},
		{"bzip2 cut off", bz(t, long)[:200]},
		{"gzip, then more", gz(t, "one") + "more"},
		{"gzip head only", "\x1f\x8b\x08\x00"},
		{"gzip of nothing known", "\x1f\x8b\x09\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"gzip wrong sum", gz(t, "one")[:20] + "xxxxxxxx"},
		{"xz", "\xfd7zXZ\x00rest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := outcome(strings.NewReader(tt.in), codec.Decode)
			if got := outcome(strings.NewReader(tt.in), decoder(t)); withoutOpen(got) != withoutOpen(want) {
				t.Errorf("%s, in one process %s", got, want)
			}
		})
	}
	noChildren(t)
}

// withoutOpen leaves out that a codec may see at once what a program says
// later.
func withoutOpen(s string) string {
	s = strings.TrimPrefix(s, "open: ")
	return strings.TrimPrefix(s, "layer.decompress: ")
}

func TestDecodePassesTheSourceOn(t *testing.T) {
	broken := fault.New(fault.Unavailable, "the registry hung up")
	in := io.MultiReader(strings.NewReader(gz(t, strings.Repeat("text", 100_000))[:300]), iotest.ErrReader(broken))
	z, err := layer.Decompress(in, decoder(t))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if _, err := io.Copy(io.Discard, z); !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
	noChildren(t)
}

// A reader that leaves early leaves no program, also when the source still
// sits in a Read.
func TestDecodeLeftEarly(t *testing.T) {
	pr, pw := io.Pipe()
	z, err := layer.Decompress(io.MultiReader(strings.NewReader(gz(t, strings.Repeat("text", 1<<20))[:2000]), pr), decoder(t))
	if err != nil {
		t.Fatal(err)
	}
	var b [4]byte
	if _, err := io.ReadFull(z, b[:]); err != nil || string(b[:]) != "text" {
		t.Fatalf("%q, %v", b, err)
	}
	if err := z.Close(); err != nil {
		t.Error(err)
	}
	pw.Close() // the source ends at last
	noChildren(t)
}

func TestDecodeProgramFails(t *testing.T) {
	for _, tt := range []struct {
		name, script, want string
		kind               fault.Kind
	}{
		{"killed", "head -c 4 >/dev/null; kill -9 $$", "signal: killed", fault.Damaged},
		{"says why", "echo it broke >&2; echo more >&2; exit 1", "it broke", fault.Damaged},
		{"says too much", "yes x | head -c 100000 | tr -d '\\n' >&2; exit 1", "xxxx", fault.Damaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exe := filepath.Join(t.TempDir(), "program")
			if err := os.WriteFile(exe, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			z, err := layer.Decompress(strings.NewReader(gz(t, "text")), Decode(func() (string, error) { return exe, nil }))
			if err != nil {
				t.Fatal(err)
			}
			defer z.Close()
			_, err = io.Copy(io.Discard, z)
			if err == nil || !strings.Contains(err.Error(), tt.want) || fault.KindOf(err) != tt.kind || len(err.Error()) > 2*maxSaid {
				t.Errorf("%.200v (%v), want %q", err, fault.KindOf(err), tt.want)
			}
		})
	}
	noChildren(t)
}

func TestDecodeNoProgram(t *testing.T) {
	missing := fault.New(fault.Unavailable, "berth-registry is not there")
	for name, find := range map[string]func() (string, error){
		"not found":   func() (string, error) { return "", missing },
		"not to exec": func() (string, error) { return "/nonexistent/berth-registry", nil },
	} {
		_, err := layer.Decompress(strings.NewReader(gz(t, "text")), Decode(find))
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "berth-registry") {
			t.Errorf("%s: %v (%v)", name, err, fault.KindOf(err))
		}
	}
	noChildren(t)
}

// noChildren waits until this process has no child any more.
func noChildren(t *testing.T) {
	t.Helper()
	var left []byte
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		left = nil
		lists, err := filepath.Glob("/proc/self/task/*/children")
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range lists {
			text, _ := os.ReadFile(list) // the thread may have ended
			left = append(left, text...)
		}
		if len(bytes.TrimSpace(left)) == 0 {
			return
		}
	}
	t.Errorf("children are left: %s", left)
}
