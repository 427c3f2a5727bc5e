package layer

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Sparse files of all formats that GNU tar writes get their holes back.
func TestApplySparse(t *testing.T) {
	needRoot(t)
	gnu, err := exec.LookPath("tar")
	if err != nil {
		t.Skip(err)
	}
	const size = 64<<20 + 123
	src := t.TempDir()
	f, err := os.Create(filepath.Join(src, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range []int64{1 << 20, 32 << 20, size - 5} {
		if _, err := f.WriteAt([]byte("data!"), at); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range [][]string{
		{"--format=gnu"},
		{"--format=pax", "--sparse-version=0.0"},
		{"--format=pax", "--sparse-version=0.1"},
		{"--format=pax", "--sparse-version=1.0"},
	} {
		out, err := exec.CommandContext(t.Context(), gnu, append(format, "-S", "-C", src, "-cf", "-", "sparse")...).Output()
		if err != nil {
			t.Fatal(err)
		}
		root := t.TempDir()
		res, err := Apply(t.Context(), root, bytes.NewReader(out), Options{})
		if err != nil || res.Size != size {
			t.Fatalf("%v: %+v, %v", format, res, err)
		}
		got, err := os.ReadFile(filepath.Join(root, "sparse"))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: content differs (%v)", format, err)
		}
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(root, "sparse"), &st); err != nil || st.Blocks*512 > 2<<20 {
			t.Errorf("%v: takes %d bytes on disk (%v)", format, st.Blocks*512, err)
		}
	}
}
