package courier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/berth-engine/berth/image/layer"
	"github.com/berth-engine/berth/image/layer/codec"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/scrap"
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
	z, err := layer.Decompress(context.Background(), r, d)
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
		{"zstd, then more", zst(t, "one") + "more"},
		{"zstd behind a frame for others", "\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + zst(t, "one")},
		{"zstd with a window of 128 MiB", "\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00"},
		{"bzip2 twice", bz(t, "one") + bz(t, "two")},
		{"bzip2, then more", bz(t, "one") + "more"},
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
	z, err := layer.Decompress(t.Context(), in, decoder(t))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if _, err := io.Copy(io.Discard, z); !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
	noChildren(t)
}

// stalling is the begin of a stream whose rest does not come; end lets go of
// who waits for it.
func stalling(t *testing.T) (r io.Reader, end func()) {
	t.Helper()
	pr, pw := io.Pipe()
	t.Cleanup(func() { pw.Close() })
	return io.MultiReader(strings.NewReader(gz(t, strings.Repeat("text", 1<<20))[:2000]), pr), func() { pw.Close() }
}

// A reader that leaves early leaves no program and no descriptor, even though
// the source sits in a Read, and no goroutine once that has returned.
func TestDecodeLeftEarly(t *testing.T) {
	for name, read := range map[string]int64{"unread": 0, "in the middle": 4} {
		t.Run(name, func(t *testing.T) {
			d := decoder(t)
			in, end := stalling(t)
			files, routines := pipes(t), runtime.NumGoroutine()
			z, err := layer.Decompress(t.Context(), in, d)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, z, read); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Error(err)
			}
			noChildren(t)
			// They are closed by who has waited for the program.
			for late := time.Now().Add(10 * time.Second); pipes(t) > files; time.Sleep(time.Millisecond) {
				if time.Now().After(late) {
					t.Fatalf("%d pipes, %d before", pipes(t), files)
				}
			}
			end()
			for late := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > routines; runtime.Gosched() {
				if time.Now().After(late) {
					t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), routines)
				}
			}
		})
	}
}

// pipes counts those that this process has open.
func pipes(t *testing.T) (n int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}

// The end of a context ends the program and the reads, and is their error.
func TestDecodeCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	in, _ := stalling(t)
	z, err := layer.Decompress(ctx, in, decoder(t))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if _, err := io.CopyN(io.Discard, z, 4); err != nil {
		t.Fatal(err)
	}
	why := errors.New("somebody pressed a key")
	cancel(why)
	if _, err := io.Copy(io.Discard, z); !errors.Is(err, why) || errors.Is(err, fault.Damaged) {
		t.Errorf("%v, want %v", err, why)
	}
	noChildren(t)
}

// A program that neither reads nor writes cannot hold anybody.
func TestDecodeHangs(t *testing.T) {
	in := strings.NewReader(gz(t, "text") + strings.Repeat("more than a pipe holds", 1<<16))
	z, err := layer.Decompress(t.Context(), in, script(t, "exec sleep 1000"))
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() { z.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("Close hangs")
	}
	noChildren(t)
}

// The real program is killed in the middle of a stream: that is not the
// stream's fault.
func TestDecodeKilled(t *testing.T) {
	var p *process
	d := func(ctx context.Context, kind string, r io.Reader) (io.Reader, func(), error) {
		plain, stop, err := decoder(t)(ctx, kind, r)
		if err == nil {
			p = plain.(*process)
		}
		return plain, stop, err
	}
	in, _ := stalling(t)
	z, err := layer.Decompress(t.Context(), in, d)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if _, err := io.CopyN(io.Discard, z, 4); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, z)
	if fault.KindOf(err) != fault.Unavailable || errors.Is(err, fault.Damaged) || !strings.HasSuffix(err.Error(), "decompress: signal: killed") {
		t.Errorf("%v (%v)", err, fault.KindOf(err))
	}
	noChildren(t)
}

// script decompresses by a shell script.
func script(t *testing.T, text string) layer.Decoder {
	exe := program(t, text)
	return Decode(func() (string, error) { return exe, nil })
}

func TestDecodeProgramFails(t *testing.T) {
	for _, tt := range []struct {
		name, script, want string
		kind               fault.Kind
	}{
		{"killed", "head -c 4 >/dev/null; kill -9 $$", "decompress: signal: killed", fault.Unavailable},
		{"finds it bad", "echo it broke >&2; echo more >&2; exit 3", "layer.decompress: it broke", fault.Damaged},
		{"finds it bad, silently", "exit 3", "decompress: exit status 3", fault.Unavailable},
		{"is an old one", "echo there is no such command >&2; exit 1", "decompress: exit status 1: there is no such command", fault.Unavailable},
		{"says too much", "yes x | head -c 100000 | tr -d '\\n' >&2; exit 3", "xxxx", fault.Damaged},
		{"wants nothing", "printf text", "before the stream did", fault.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := strings.NewReader(gz(t, "text") + strings.Repeat("more than a pipe holds", 1<<16))
			z, err := layer.Decompress(t.Context(), in, script(t, tt.script))
			if err != nil {
				t.Fatal(err)
			}
			defer z.Close()
			_, err = io.Copy(io.Discard, z)
			if err == nil || !strings.Contains(err.Error(), tt.want) || fault.KindOf(err) != tt.kind || len(err.Error()) > 2*scrap.Max {
				t.Errorf("%.200v (%v), want %q", err, fault.KindOf(err), tt.want)
			}
			if errors.Is(err, fault.Damaged) != (tt.kind == fault.Damaged) {
				t.Errorf("%.200v: of two classes", err)
			}
		})
	}
	noChildren(t)
}

// A stream that is cut off is that to callers, whoever found it.
func TestDecodeCutOff(t *testing.T) {
	z, err := layer.Decompress(t.Context(), strings.NewReader(gz(t, "text")), script(t, "cat >/dev/null; echo unexpected EOF >&2; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if _, err = io.Copy(io.Discard, z); !errors.Is(err, io.ErrUnexpectedEOF) || fault.KindOf(err) != fault.Damaged {
		t.Errorf("%v (%v)", err, fault.KindOf(err))
	}
	noChildren(t)
}

func TestDecodeNoProgram(t *testing.T) {
	missing := fault.New(fault.NotFound, "berth-registry is not there")
	for _, tt := range []struct {
		name string
		find func() (string, error)
		kind fault.Kind
	}{
		{"not found", func() (string, error) { return "", missing }, fault.NotFound},
		{"not to exec", func() (string, error) { return "/nonexistent/berth-registry", nil }, fault.Unavailable},
	} {
		_, err := layer.Decompress(t.Context(), strings.NewReader(gz(t, "text")), Decode(tt.find))
		if fault.KindOf(err) != tt.kind || errors.Is(err, fault.Damaged) || !strings.Contains(err.Error(), "berth-registry") {
			t.Errorf("%s: %v (%v)", tt.name, err, fault.KindOf(err))
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
