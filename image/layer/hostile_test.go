package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

func cancelled(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}

func TestApplyHostile(t *testing.T) {
	needRoot(t)
	const out = "/outside/secret"
	for _, tt := range []struct {
		name string
		in   []ent
		want error // nil: unpacks, and everything stays inside
	}{
		{"climbs", []ent{file("../outside/secret", "x")}, fault.Invalid},
		{"climbs inside", []ent{file("a/../b", "x")}, fault.Invalid},
		{"climbs at the end", []ent{dir("a/..")}, fault.Invalid},
		{"only dots", []ent{file("..", "x")}, fault.Invalid},
		{"absolute", []ent{file("/outside/secret", "x")}, nil},
		{"root as a file", []ent{file(".", "x")}, fault.Invalid},
		{"root as a link", []ent{symlink("./", "/")}, fault.Invalid},
		{"component too long", []ent{file(strings.Repeat("n", 256), "")}, fault.Invalid},
		{"path too long", []ent{file(strings.Repeat("n/", 2100)+"f", "")}, fault.Invalid},
		{"longest path", []ent{file(strings.Repeat("n/", 2000)+"f", "")}, nil},

		{"link and through it", []ent{symlink("l", "../outside"), file("l/secret", "x")}, nil},
		{"absolute link and through it", []ent{symlink("l", out[:8]), file("l/secret", "x")}, nil},
		{"chain of links", []ent{symlink("a", "b"), symlink("b", "../.."), file("a/outside/secret", "x")}, nil},
		{"link over a used directory", []ent{file("d/x", "1"), symlink("d", "../outside"), file("d/secret", "x")}, nil},
		{"link over a directory with attributes to come", []ent{{name: "d/secret", kind: tar.TypeDir, mode: 0o777, uid: 9}, symlink("d", "../outside")}, nil},
		{"file over a link out", []ent{symlink("l", "../outside/secret"), file("l", "x")}, nil},
		{"directory over a link out", []ent{symlink("l", "../outside"), dir("l"), {name: "l/secret", mode: 0o777}}, nil},
		{"magic link", []ent{symlink("l", "/proc/self/root"), file("l/tmp/berth-was-here", "x")}, nil},
		{"whiteout through a link", []ent{symlink("l", "../outside"), file("l/.wh.secret", "")}, nil},
		{"opaque through a link", []ent{symlink("l", "../outside"), file("l/.wh..wh..opq", "")}, nil},

		{"hard link out", []ent{hardlink("h", "../outside/secret"), file("h", "x")}, fault.Invalid},
		{"hard link out through a link", []ent{symlink("l", "../outside"), hardlink("h", "l/secret")}, unix.ENOENT},
		{"hard link to a link out, then written", []ent{symlink("l", "../outside/secret"), hardlink("h", "l"), file("h", "x")}, nil},
		{"hard link to a directory", []ent{dir("d"), hardlink("h", "d")}, fault.Invalid},
		{"hard link to the root", []ent{hardlink("h", "/")}, fault.Invalid},
		{"hard link to nothing", []ent{hardlink("h", "none")}, fault.Invalid},
		{"hard link to a whiteout", []ent{file(".wh.w", ""), hardlink("h", "w")}, fault.Invalid},
		{"empty link", []ent{symlink("l", "")}, fault.Invalid},
		{"endless link", []ent{symlink("l", strings.Repeat("x", 5000))}, fault.Invalid},

		{"whiteout of nothing", []ent{file(".wh.", "")}, fault.Invalid},
		{"whiteout of dot", []ent{file("d/.wh..", "")}, fault.Invalid},
		{"whiteout of dots", []ent{file("d/.wh...", "")}, fault.Invalid},
		{"below a whiteout", []ent{file("d/.wh.x/y", "")}, fault.Invalid},

		{"owner too large", []ent{{name: "f", uid: 1 << 31}}, fault.Invalid},
		{"group of all ones", []ent{{name: "f", gid: 1<<32 - 1}}, fault.Invalid},
		{"unknown kind", []ent{{name: "f", kind: 'Z'}}, fault.Invalid},
		{"device number", []ent{char("c", 1<<12, 0)}, fault.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, check := arena(t)
			_, err := Apply(t.Context(), root, bytes.NewReader(pack(t, tt.in...)), Options{})
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			check()
		})
	}
}

func TestApplyLimits(t *testing.T) {
	needRoot(t)
	two := pack(t, file("a", "12345"), file("b", "12345"))
	for _, tt := range []struct {
		name string
		o    Options
		want error
	}{
		{"none", Options{}, nil},
		{"entries", Options{MaxEntries: 1}, fault.TooLarge},
		{"entries fit", Options{MaxEntries: 2}, nil},
		{"size", Options{MaxSize: 9}, fault.TooLarge},
		{"ratio needs a gigabyte", Options{Blob: 1, Ratio: 1}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Apply(t.Context(), t.TempDir(), bytes.NewReader(two), tt.o)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestMaxSize(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want int64
	}{
		{Options{}, DefaultMaxSize},
		{Options{MaxSize: 5}, 5},
		{Options{Blob: 1000}, ratioFree},
		{Options{Blob: 10 << 20}, 2000 << 20},
		{Options{Blob: 10 << 20, Ratio: 1000}, 10000 << 20},
		{Options{Blob: 1 << 40}, DefaultMaxSize},
		{Options{Blob: 1 << 62, Ratio: 1 << 30}, DefaultMaxSize},
		{Options{Blob: 10 << 20, MaxSize: 100}, 100},
	} {
		if got := tt.o.maxSize(); got != tt.want {
			t.Errorf("%+v: got %d, want %d", tt.o, got, tt.want)
		}
	}
}

// A file that says it is huge fails before anything is written.
func TestApplyHugeSize(t *testing.T) {
	root, check := arena(t)
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: "f", Size: 1 << 50, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	_, err := Apply(t.Context(), root, &buf, Options{})
	if !errors.Is(err, fault.TooLarge) {
		t.Errorf("got %v", err)
	}
	if got := listing(t, root); got != "" {
		t.Errorf("left %s", got)
	}
	check()
}

func TestApplyDamaged(t *testing.T) {
	good := pack(t, file("a", strings.Repeat("x", 2000)), file("b", "y"))
	for _, tt := range []struct {
		name string
		in   []byte
	}{
		{"garbage", []byte(strings.Repeat("garbage ", 100))},
		{"short header", good[:100]},
		{"short body", good[:1000]},
		{"huge PAX header", hugePAX()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Apply(t.Context(), t.TempDir(), bytes.NewReader(tt.in), Options{})
			if !errors.Is(err, fault.Damaged) {
				t.Errorf("got %v, want damaged", err)
			}
		})
	}
}

// hugePAX is an extended header of 2 MiB, made by hand as no writer would.
func hugePAX() []byte {
	const size = 2 << 20
	h := make([]byte, 512)
	copy(h, "pax")
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], strconv.FormatInt(size, 8)+"\x00")
	copy(h[136:], "00000000000\x00")
	h[156] = 'x'
	copy(h[257:], "ustar\x0000")
	copy(h[148:], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], strconv.FormatInt(int64(sum), 8)+"\x00 ")
	record := strconv.Itoa(size) + " comment="
	return append(h, record+strings.Repeat("x", size-len(record)-1)+"\n"...)
}

// The whole stream is read, so that the caller's hash is that of the layer,
// but not more than the limit.
func TestApplyReadsToTheEnd(t *testing.T) {
	tail := io.MultiReader(bytes.NewReader(pack(t)), bytes.NewReader(make([]byte, 1<<20)))
	if _, err := Apply(t.Context(), t.TempDir(), tail, Options{}); err != nil {
		t.Error(err)
	}
	if n, _ := tail.Read(make([]byte, 1)); n != 0 {
		t.Error("not read to the end")
	}
	endless := io.MultiReader(bytes.NewReader(pack(t)), zeroReader{})
	if _, err := Apply(t.Context(), t.TempDir(), endless, Options{MaxSize: 1 << 20}); !errors.Is(err, fault.TooLarge) {
		t.Errorf("endless tail: got %v", err)
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A mount inside the directory is not crossed.
func TestApplyMount(t *testing.T) {
	needRoot(t)
	root, check := arena(t)
	if _, err := Apply(t.Context(), root, bytes.NewReader(pack(t, dir("m"))), Options{}); err != nil {
		t.Fatal(err)
	}
	err := kernel.OwnMounts(func() error {
		if err := unix.Mount(filepath.Join(root, "../outside"), filepath.Join(root, "m"), "", unix.MS_BIND, ""); err != nil {
			return err
		}
		_, err := Apply(t.Context(), root, bytes.NewReader(pack(t, file("m/secret", "x"))), Options{})
		return err
	})
	if !errors.Is(err, unix.EXDEV) {
		t.Errorf("got %v, want EXDEV", err)
	}
	check()
}
