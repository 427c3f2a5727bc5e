package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/berth-engine/berth/image/layer/codec"
	"github.com/berth-engine/berth/internal/fault"
)

func gz(t testing.TB, text string) string {
	t.Helper()
	var b strings.Builder
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zs(t testing.TB, text string, o ...zstd.EOption) string {
	t.Helper()
	w, err := zstd.NewWriter(nil, o...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return string(w.EncodeAll([]byte(text), nil))
}

// spoil changes a byte, counted from the end.
func spoil(text string, at int) string {
	b := []byte(text)
	b[len(b)-at] ^= 1
	return string(b)
}

func TestDecompress(t *testing.T) {
	long := strings.Repeat("long text ", 500_000)
	const bz = "BZh91AY&SYN\xec\xe86\x00\x00\x02Q\x80\x00\x10@\x00\x06D\x90\x80 \x001\x06LA\x01\xa7\xa9\xa5\x80\xbb\x941\xf8\xbb\x92)\xc2\x84\x82wgA\xb0"
	skippable := "\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
	for _, tt := range []struct {
		name, in, want string
		err            error
	}{
		{"empty", "", "", nil},
		{"one byte", "x", "x", nil},
		{"plain", "plain text", "plain text", nil},
		{"gzip", gz(t, "text"), "text", nil},
		{"gzip long", gz(t, long), long, nil},
		{"gzip of nothing", gz(t, ""), "", nil},
		{"gzip twice", gz(t, "one ") + gz(t, "two"), "one two", nil},
		{"gzip and garbage", gz(t, "text") + "garbage", "text", fault.Damaged},
		{"gzip and zeros", gz(t, "text") + "\x00\x00", "text", fault.Damaged},
		{"gzip cut", gz(t, long)[:1000], "", fault.Damaged},
		{"gzip cut in the sum", strings.TrimSuffix(gz(t, "text"), "\x00"), "text", fault.Damaged},
		{"gzip wrong sum", spoil(gz(t, "text"), 8), "", fault.Damaged},
		{"gzip magic only", "\x1f\x8b", "", fault.Damaged},
		{"zstd", zs(t, "text"), "text", nil},
		{"zstd long", zs(t, long), long, nil},
		{"zstd twice", zs(t, "one ") + zs(t, "two"), "one two", nil},
		{"zstd after a skippable frame", skippable + zs(t, "text"), "text", nil},
		{"zstd and garbage", zs(t, "text") + "garbage", "text", fault.Damaged},
		{"zstd cut", zs(t, long)[:100], "", fault.Damaged},
		{"zstd largest window", zs(t, long, zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false)), long, nil},
		{"zstd window too large", bigWindow(t), "", fault.Damaged},
		{"bzip2", bz, "hello world\n", nil},
		{"xz", "\xfd7zXZ\x00\x00", "", fault.Unsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Decompress(t.Context(), strings.NewReader(tt.in), codec.Decode)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(r)
				if cerr := r.Close(); cerr != nil {
					t.Error(cerr)
				}
			}
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if tt.want != "" && string(got) != tt.want {
				t.Errorf("got %d bytes, want %d", len(got), len(tt.want))
			}
		})
	}
}

// bigWindow is the head of a frame that wants a window of 128 MiB: magic, a
// descriptor without checksum or size, exponent 17 (RFC 8878 section 3.1.1.1).
func bigWindow(*testing.T) string { return "\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00" }

// A failure of the source is the source's, not damage.
func TestDecompressSourceFails(t *testing.T) {
	broken := errors.New("connection lost")
	for _, head := range []string{gz(t, strings.Repeat("x", 1<<20))[:500], zs(t, strings.Repeat("x", 1<<20))[:20], "plain"} {
		r, err := Decompress(t.Context(), io.MultiReader(strings.NewReader(head), iotest.ErrReader(broken)), codec.Decode)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		if !errors.Is(err, broken) || errors.Is(err, fault.Damaged) {
			t.Errorf("%q…: got %v", head[:4], err)
		}
	}
}

func TestDecompressRatio(t *testing.T) {
	bomb := gzipOf(t, 16<<20)
	for _, tt := range []struct {
		ratio int
		want  error
	}{{-1, fault.TooLarge}, {2000, nil}, {0, nil}} {
		r, err := Decompress(t.Context(), bytes.NewReader(bomb), codec.Decode)
		if err != nil {
			t.Fatal(err)
		}
		r.free = 4 << 20
		if tt.ratio >= 0 {
			r.SetRatio(tt.ratio)
		}
		if _, err = io.Copy(io.Discard, r); !errors.Is(err, tt.want) {
			t.Errorf("ratio %d: got %v, want %v", tt.ratio, err, tt.want)
		}
		r.Close()
	}
}

func gzipOf(t *testing.T, zeroBytes int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.CopyN(w, zeroReader{}, zeroBytes); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return b.Bytes()
}

// Close returns whatever the stream is doing, and the goroutine ends.
func TestDecompressClose(t *testing.T) {
	long := gz(t, strings.Repeat("some text that takes a while ", 1<<20))
	for _, tt := range []struct {
		name string
		read int64
	}{{"unread", 0}, {"in the middle", 1 << 20}, {"at the end", 1 << 40}} {
		t.Run(tt.name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			r, err := Decompress(t.Context(), strings.NewReader(long), codec.Decode)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, r, tt.read); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			r.Close()
			r.Close()
			waitForGoroutines(t, before) // they have nothing left to do, but may not have done it
			if tt.name != "at the end" {
				if _, err := io.Copy(io.Discard, r); !errors.Is(err, os.ErrClosed) {
					t.Errorf("read after close: got %v", err)
				}
			}
		})
	}
}

// A source that hangs does not make Close hang.
func TestDecompressCloseStalled(t *testing.T) {
	pr, pw := io.Pipe()
	before := runtime.NumGoroutine()
	go pw.Write([]byte(gz(t, strings.Repeat("x", 1000)))[:20]) //nolint:errcheck // ends with the pipe
	r, err := Decompress(t.Context(), pr, codec.Decode)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() { r.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("Close hangs")
	}
	pr.Close()
	waitForGoroutines(t, before)
}

// waitForGoroutines returns when there are no more than before.
func waitForGoroutines(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func FuzzDecompress(f *testing.F) {
	f.Add([]byte(gz(f, "text")))
	f.Add([]byte(gz(f, "one") + gz(f, "two")))
	f.Add([]byte(zs(f, "text")))
	f.Add([]byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + zs(f, "text")))
	f.Add([]byte("BZh91AY&SY"))
	f.Add([]byte("plain"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := Decompress(t.Context(), bytes.NewReader(in), codec.Decode)
		if err != nil {
			return
		}
		r.SetRatio(0)
		first, err1 := io.ReadAll(io.LimitReader(r, 16<<20))
		r.Close()
		again, err := Decompress(t.Context(), iotest.OneByteReader(bytes.NewReader(in)), codec.Decode)
		if err != nil {
			t.Fatalf("second try: %v", err)
		}
		second, err2 := io.ReadAll(io.LimitReader(again, 16<<20))
		again.Close()
		if !bytes.Equal(first, second) || (err1 == nil) != (err2 == nil) {
			t.Errorf("in other portions: %d bytes, %v; %d bytes, %v", len(first), err1, len(second), err2)
		}
	})
}

func FuzzApply(f *testing.F) {
	needRoot(f)
	f.Add(pack(f, dir("d"), file("d/f", "x"), symlink("l", "/etc"), hardlink("h", "d/f"), file(".wh.a", ""), file("d/.wh..wh..opq", "")))
	f.Add(pack(f, symlink("l", "../outside"), file("l/secret", "x"), hardlink("h", "l/secret")))
	f.Add(pack(f, file("../outside/secret", "x")))
	f.Add(pack(f, char("c", 1, 3), ent{name: "p", kind: tar.TypeFifo}, file("a", "1"), file("a/b", "2"), file("a", "3")))
	f.Add(pack(f, ent{name: "x", body: "b", pax: map[string]string{paxXattr + "user.k": "v", paxXattr + opaqueXattr: "y"}}))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, style := range []Style{Overlay, Plain} {
			root, check := arena(t)
			o := Options{Whiteouts: style, MaxSize: 1 << 20, MaxEntries: 100}
			res, err := Apply(t.Context(), root, bytes.NewReader(in), o)
			check()
			if res.Size > o.MaxSize || err == nil && int64(res.Entries) > o.MaxEntries {
				t.Errorf("limits: %+v", res)
			}
			if err != nil {
				continue
			}
			var tarball bytes.Buffer
			if err := Pack(t.Context(), &tarball, root, Options{Whiteouts: style}); err != nil {
				t.Errorf("pack: %v", err)
			}
		}
	})
}
