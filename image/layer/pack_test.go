package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// everything has each kind of entry in it.
func everything() []ent {
	old := time.Date(2001, 2, 3, 4, 5, 6, 789000, time.UTC)
	return []ent{
		{name: "./", kind: tar.TypeDir, mode: 0o711, uid: 5, mtime: old},
		{name: "d/", kind: tar.TypeDir, mode: 0o2750, gid: 7, mtime: old, pax: map[string]string{paxXattr + "user.k": "v\x00\n"}},
		{name: "d/.wh..wh..opq", mode: 0o600},
		{name: "e/.wh.gone", mode: 0o600},
		{name: "d/f", body: strings.Repeat("x", 3000), mode: 0o4755, uid: 1, gid: 2, mtime: old},
		{name: "d/" + strings.Repeat("long", 60), body: "x", mode: 0o644, mtime: old},
		{name: "h", link: "d/f", kind: tar.TypeLink},
		{name: "l", link: "../" + strings.Repeat("to", 100), kind: tar.TypeSymlink, mode: 0o777, mtime: old},
		{name: "n", kind: tar.TypeBlock, mode: 0o660, dev: [2]int64{8, 1}, mtime: old},
		{name: "p", kind: tar.TypeFifo, mode: 0o600, mtime: old},
	}
}

// What was unpacked from a tar packs to a tar that unpacks to the same, and
// packing twice gives the same bytes.
func TestPack(t *testing.T) {
	needRoot(t)
	first, second := t.TempDir(), t.TempDir()
	if _, err := Apply(t.Context(), first, bytes.NewReader(pack(t, everything()...)), Options{}); err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := Pack(t.Context(), &a, first, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(t.Context(), second, bytes.NewReader(a.Bytes()), Options{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(listing(t, first), listing(t, second)); diff != "" {
		t.Error(diff)
	}
	if err := Pack(t.Context(), &b, second, Options{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("packing the copy gives other bytes")
	}
	want := []string{
		"5 ./", "5 d/", "0 d/.wh..wh..opq", "0 d/f", "0 d/" + strings.Repeat("long", 60),
		"5 e/", "0 e/.wh.gone", "1 h", "2 l", "4 n", "6 p",
	}
	if diff := cmp.Diff(want, names(t, a.Bytes())); diff != "" {
		t.Error(diff)
	}
}

func names(t *testing.T, data []byte) (names []string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, string(h.Typeflag)+" "+h.Name)
	}
}

// Sockets, mounts and overlay's own attributes stay out.
func TestPackLeavesOut(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "f"), nil, 0o600),
		unix.Setxattr(filepath.Join(dir, "f"), "trusted.overlay.origin", []byte("x"), 0),
		unix.Setxattr(filepath.Join(dir, "f"), "user.k", []byte("v"), 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := Pack(t.Context(), &b, dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"5 ./", "0 f"}, names(t, b.Bytes())); diff != "" {
		t.Error(diff)
	}
	r := tar.NewReader(&b)
	r.Next() //nolint:errcheck // read above
	h, err := r.Next()
	if err != nil || len(h.PAXRecords) != 2 || h.PAXRecords[paxXattr+"user.k"] != "v" {
		t.Errorf("got %v, %v", h.PAXRecords, err)
	}
}

func TestPackWriteFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	r.Close()
	if err := Pack(t.Context(), w, dir, Options{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}
