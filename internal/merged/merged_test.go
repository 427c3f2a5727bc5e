package merged

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/test/fixture"
)

func TestLayerDirs(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    mount.Mount
		want []string
	}{
		{"overlay", mount.Mount{Type: "overlay", Options: []string{"lowerdir=/l2:/l1", "upperdir=/u", "workdir=/w"}}, []string{"/u", "/l2", "/l1"}},
		{"escaped colon", mount.Mount{Type: "overlay", Options: []string{`lowerdir=/a\:b:/c`, "upperdir=/u"}}, []string{"/u", "/a:b", "/c"}},
		{"one by one", mount.Mount{Type: "overlay", Options: []string{"lowerdir+=/a:b", "lowerdir+=/c"}}, []string{"/a:b", "/c"}},
		{"bind", mount.Mount{Type: "bind", Source: "/tree"}, []string{"/tree"}},
	} {
		if d := cmp.Diff(tt.want, layerDirs(tt.m)); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
}

// TestReadFile builds layers and compares what is read with what an
// overlay of them would show.
func TestReadFile(t *testing.T) {
	fixture.Root(t) // whiteouts are device nodes
	type layer func(t *testing.T, dir string)
	file := func(name, text string) layer {
		return func(t *testing.T, dir string) {
			p := filepath.Join(dir, name)
			must(t, os.MkdirAll(filepath.Dir(p), 0o755))
			must(t, os.WriteFile(p, []byte(text), 0o644))
		}
	}
	link := func(name, target string) layer {
		return func(t *testing.T, dir string) {
			p := filepath.Join(dir, name)
			must(t, os.MkdirAll(filepath.Dir(p), 0o755))
			must(t, os.Symlink(target, p))
		}
	}
	gone := func(name string) layer {
		return func(t *testing.T, dir string) {
			p := filepath.Join(dir, name)
			must(t, os.MkdirAll(filepath.Dir(p), 0o755))
			must(t, unix.Mknod(p, unix.S_IFCHR, 0))
		}
	}
	hidden := func(name string) layer {
		return func(t *testing.T, dir string) {
			p := filepath.Join(dir, name)
			must(t, os.MkdirAll(p, 0o755))
			must(t, unix.Setxattr(p, "trusted.overlay.opaque", []byte("y"), 0))
		}
	}
	fifo := func(name string) layer {
		return func(t *testing.T, dir string) {
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
			must(t, unix.Mkfifo(filepath.Join(dir, name), 0o644))
		}
	}
	none := "\x00"
	for _, tt := range []struct {
		name   string
		layers [][]layer // topmost first
		want   string
	}{
		{"lowest", [][]layer{{}, {file("etc/passwd", "low")}}, "low"},
		{"topmost wins", [][]layer{{file("etc/passwd", "top")}, {file("etc/passwd", "low")}}, "top"},
		{"whiteout", [][]layer{{gone("etc/passwd")}, {file("etc/passwd", "low")}}, none},
		{"whiteout of the directory", [][]layer{{gone("etc")}, {file("etc/passwd", "low")}}, none},
		{"opaque directory", [][]layer{{hidden("etc")}, {file("etc/passwd", "low")}}, none},
		{"opaque, then file", [][]layer{{hidden("etc"), file("etc/passwd", "top")}, {file("etc/passwd", "low")}}, "top"},
		{"file over directory", [][]layer{{file("etc", "x")}, {file("etc/passwd", "low")}}, none},
		{"link across layers", [][]layer{{link("etc/passwd", "../usr/passwd")}, {file("usr/passwd", "far")}}, "far"},
		{"absolute link stays inside", [][]layer{{link("etc/passwd", "/usr/passwd")}, {file("usr/passwd", "in")}}, "in"},
		{"linked directory", [][]layer{{link("etc", "usr/etc")}, {file("usr/etc/passwd", "via")}}, "via"},
		{"link out", [][]layer{{link("etc/passwd", "../../../../../../../../etc/passwd")}, {}}, none},
		{"loop", [][]layer{{link("etc/passwd", "passwd")}, {}}, none},
		{"fifo", [][]layer{{fifo("etc/passwd")}, {}}, none},
		{"nothing", [][]layer{{}, {}}, none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var dirs []string
			opts := ""
			for _, l := range tt.layers {
				dir := t.TempDir()
				for _, make := range l {
					make(t, dir)
				}
				dirs = append(dirs, dir)
			}
			opts = "lowerdir=" + dirs[0] + ":" + dirs[1]
			tr, err := Open([]mount.Mount{{Type: "overlay", Options: []string{opts}}}, "")
			must(t, err)
			defer tr.Close()
			got, err := tr.ReadFile("/etc/passwd", 100)
			if tt.want == none {
				if err == nil {
					t.Fatalf("read %q, want an error", got)
				}
				return
			}
			if err != nil || string(got) != tt.want {
				t.Fatalf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestReadFileBounded(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "etc/passwd"), make([]byte, 200), 0o644))
	tr, err := Open(nil, dir)
	must(t, err)
	defer tr.Close()
	if _, err := tr.ReadFile("/etc/passwd", 100); err == nil {
		t.Error("a file over the limit was read")
	}
	if _, err := tr.ReadFile("/etc/nosuch", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func TestHead(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\necho"), 0o644))
	tr, err := Open(nil, dir)
	must(t, err)
	defer tr.Close()
	for _, n := range []int64{9, 100} {
		got, err := tr.Head("/tool", n)
		if want := "#!/bin/sh\necho"; err != nil || string(got) != want[:min(int(n), len(want))] {
			t.Errorf("first %d bytes: %q, %v", n, got, err)
		}
	}
	if got, err := tr.Head("/", 9); err == nil {
		t.Errorf("of a directory: %q", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
