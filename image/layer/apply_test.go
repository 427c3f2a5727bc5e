package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestApply(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		name string
		in   []ent
		want []string
	}{
		{"empty", nil, nil},
		{"kinds", []ent{
			dir("d/"), file("d/f", "x"), symlink("d/l", "/etc/passwd"), hardlink("h", "d/f"),
			char("c", 1, 3),
			{name: "p", kind: tar.TypeFifo, mode: 0o640},
		}, []string{`c600 1:3 c`, `d755 d`, `f644 d/f "x"`, `l d/l -> /etc/passwd`, `f644 h "x"`, `p640 p`}},
		{"parents are made", []ent{file("a/b/c", "x")}, []string{`d755 a`, `d755 a/b`, `f644 a/b/c "x"`}},
		{"parents come later", []ent{file("a/f", "x"), {name: "a", kind: tar.TypeDir, mode: 0o700}}, []string{`d700 a`, `f644 a/f "x"`}},
		{"unclean names", []ent{file("/a", "1"), file("./b", "2"), file(".//c/./d", "3")}, []string{`f644 a "1"`, `f644 b "2"`, `d755 c`, `f644 c/d "3"`}},
		{"set-id bits", []ent{
			{name: "d", kind: tar.TypeDir, mode: 0o2775},
			{name: "d/s", mode: 0o4755},
			dir("d/sub"),
			{name: "t", kind: tar.TypeDir, mode: 0o1777},
		}, []string{`d2775 d`, `f4755 d/s ""`, `d755 d/sub`, `d1777 t`}},
		{"closed directory", []ent{{name: "d", kind: tar.TypeDir}, file("d/f", "x")}, []string{`d0 d`, `f644 d/f "x"`}},
		{"global header", []ent{{name: "g", kind: tar.TypeXGlobalHeader, pax: map[string]string{"comment": "x"}}, file("f", "x")}, []string{`f644 f "x"`}},

		{"last wins", []ent{file("f", "1"), file("f", "2")}, []string{`f644 f "2"`}},
		{"file over link", []ent{file("t", "1"), symlink("l", "t"), file("l", "2")}, []string{`f644 l "2"`, `f644 t "1"`}},
		{"file over hard link", []ent{file("a", "1"), hardlink("b", "a"), file("b", "2")}, []string{`f644 a "1"`, `f644 b "2"`}},
		{"file over directory", []ent{file("d/x/y", "1"), file("d", "2")}, []string{`f644 d "2"`}},
		{"directory over file", []ent{file("d", "1"), dir("d"), file("d/x", "2")}, []string{`d755 d`, `f644 d/x "2"`}},
		{"directory over link", []ent{dir("t"), symlink("d", "t"), dir("d"), file("d/x", "2")}, []string{`d755 d`, `f644 d/x "2"`, `d755 t`}},
		{"directory twice", []ent{dir("d"), file("d/x", "1"), {name: "d", kind: tar.TypeDir, mode: 0o711}}, []string{`d711 d`, `f644 d/x "1"`}},
		{"hard link to itself", []ent{file("a", "1"), hardlink("a", "a"), hardlink("./a", "/a")}, []string{`f644 a "1"`}},
		{"hard link over file", []ent{file("a", "1"), file("b", "2"), hardlink("b", "a")}, []string{`f644 a "1"`, `f644 b "1"`}},
		{"absolute hard link", []ent{file("d/a", "1"), hardlink("b", "/d/a")}, []string{`f644 b "1"`, `d755 d`, `f644 d/a "1"`}},
		{"hard link to a link", []ent{symlink("a", "/etc"), hardlink("b", "a")}, []string{`l a -> /etc`, `l b -> /etc`}},

		{"through a link of this layer", []ent{dir("usr/lib"), symlink("lib", "usr/lib"), file("lib/f", "x")}, []string{`l lib -> usr/lib`, `d755 usr`, `d755 usr/lib`, `f644 usr/lib/f "x"`}},
		{"through an absolute link", []ent{dir("run"), symlink("var/run", "/run"), file("var/run/f", "x")}, []string{`d755 run`, `f644 run/f "x"`, `d755 var`, `l var/run -> /run`}},
		{"dangling parent is replaced", []ent{symlink("a", "/nowhere"), file("a/f", "x")}, []string{`d755 a`, `f644 a/f "x"`}},
		{"looping parent is replaced", []ent{symlink("a", "a"), file("a/b/f", "x")}, []string{`d755 a`, `d755 a/b`, `f644 a/b/f "x"`}},
		{"file as parent is replaced", []ent{file("a", "1"), file("a/b/f", "x")}, []string{`d755 a`, `d755 a/b`, `f644 a/b/f "x"`}},

		{"whiteout", []ent{dir("d"), file("d/.wh.gone", "")}, []string{`d755 d`, `w d/gone`}},
		{"whiteout makes parents", []ent{file("a/b/.wh.gone", "")}, []string{`d755 a`, `d755 a/b`, `w a/b/gone`}},
		{"whiteout twice", []ent{file(".wh.a", ""), file(".wh.a", "")}, []string{`w a`}},
		{"whiteout, then file", []ent{file(".wh.a", ""), file("a", "x")}, []string{`f644 a "x"`}},
		{"file, then whiteout", []ent{file("a", "x"), file(".wh.a", "")}, []string{`f644 a "x"`}},
		{"whiteout, then directory", []ent{file(".wh.a", ""), dir("a"), file("a/f", "x")}, []string{`d755! a`, `f644 a/f "x"`}},
		{"directory, then whiteout", []ent{dir("a"), file("a/f", "x"), file(".wh.a", "")}, []string{`d755! a`, `f644 a/f "x"`}},
		{"whiteout, then something below", []ent{file(".wh.a", ""), file("a/f", "x")}, []string{`d755! a`, `f644 a/f "x"`}},
		{"whiteout of a link", []ent{symlink("a", "b"), file(".wh.a", "")}, []string{`l a -> b`}},
		{"whiteout with a body", []ent{file(".wh.a", "body"), file("b", "x")}, []string{`w a`, `f644 b "x"`}},
		{"opaque", []ent{file("d/.wh..wh..opq", ""), file("d/f", "x")}, []string{`d755! d`, `f644 d/f "x"`}},
		{"opaque last", []ent{file("d/f", "x"), file("d/.wh..wh..opq", "")}, []string{`d755! d`, `f644 d/f "x"`}},
		{"opaque keeps mode", []ent{{name: "d", kind: tar.TypeDir, mode: 0o700}, file("d/.wh..wh..opq", "")}, []string{`d700! d`}},
		{"opaque root", []ent{file(".wh..wh..opq", "")}, []string{`d755! .`}},
		{"whiteout in an opaque directory", []ent{file("d/s/.wh.a", ""), file("d/.wh.b", ""), file("d/.wh..wh..opq", ""), file(".wh.c", "")}, []string{`w c`, `d755! d`, `d755 d/s`}},
		{"whiteout below a replaced directory", []ent{file(".wh.d", ""), file("d/.wh.b", ""), file("d/f", "x")}, []string{`d755! d`, `f644 d/f "x"`}},
		{"whiteout, file, then directory", []ent{file(".wh.a", ""), file("a", "x"), dir("a")}, []string{`d755! a`}},
		{"aufs bookkeeping", []ent{file(".wh..wh.aufs", ""), dir(".wh..wh.plnk"), file("f", "x")}, []string{`f644 f "x"`}},
		{"device 0:0 is no whiteout", []ent{char("a", 0, 0), file("f", "x")}, []string{`f644 f "x"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, check := arena(t)
			res, err := Apply(t.Context(), root, bytes.NewReader(pack(t, tt.in...)), Options{})
			if err != nil {
				t.Fatal(err)
			}
			check()
			if diff := cmp.Diff(lines(tt.want...), listing(t, root)); diff != "" {
				t.Error(diff)
			}
			if tt.name == "device 0:0 is no whiteout" && len(res.Skipped) != 1 {
				t.Errorf("skipped: %q", res.Skipped)
			}
		})
	}
}

// The same bytes in other portions give the same tree.
func TestApplyPortions(t *testing.T) {
	needRoot(t)
	in := pack(t, dir("a"), file("a/f", strings.Repeat("x", 3<<20)), file("a/.wh.b", ""), symlink("l", "a"))
	var want string
	for _, r := range []struct {
		name string
		read func() *bytes.Reader
		wrap int
	}{{"whole", nil, 0}, {"halves", nil, 1}, {"with end of file", nil, 2}} {
		root := t.TempDir()
		src := map[int]interface{ Read([]byte) (int, error) }{
			0: bytes.NewReader(in), 1: iotest.HalfReader(bytes.NewReader(in)), 2: iotest.DataErrReader(bytes.NewReader(in)),
		}[r.wrap]
		res, err := Apply(t.Context(), root, src, Options{})
		if err != nil || res.Size != 3<<20 || res.Entries != 4 {
			t.Fatalf("%s: %+v, %v", r.name, res, err)
		}
		got := listing(t, root)
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", r.name, got, want)
		}
	}
}

func TestApplyPlain(t *testing.T) {
	needRoot(t)
	lower := []ent{file("d/a", "1"), file("d/b", "1"), file("e/sub/x", "1"), file("f", "1"), symlink("lib", "usr/lib"), dir("usr/lib")}
	for _, tt := range []struct {
		name string
		in   []ent
		want []string
	}{
		{"adds", []ent{file("d/a", "2"), file("n", "2")}, []string{`d755 d`, `f644 d/a "2"`, `f644 d/b "1"`, `d755 e`, `d755 e/sub`, `f644 e/sub/x "1"`, `f644 f "1"`, `l lib -> usr/lib`, `f644 n "2"`, `d755 usr`, `d755 usr/lib`}},
		{"deletes", []ent{file(".wh.d", ""), file(".wh.f", ""), file(".wh.none", ""), file("e/.wh.sub", "")}, []string{`d755 e`, `l lib -> usr/lib`, `d755 usr`, `d755 usr/lib`}},
		{"keeps its own", []ent{file("d/n/m", "2"), file(".wh.d", ""), file(".wh.e", ""), file("e/n", "2")}, []string{`d755 d`, `d755 d/n`, `f644 d/n/m "2"`, `d755 e`, `f644 e/n "2"`, `f644 f "1"`, `l lib -> usr/lib`, `d755 usr`, `d755 usr/lib`}},
		{"opaque", []ent{file("d/n", "2"), file("d/.wh..wh..opq", ""), file("e/.wh..wh..opq", "")}, []string{`d755 d`, `f644 d/n "2"`, `d755 e`, `f644 f "1"`, `l lib -> usr/lib`, `d755 usr`, `d755 usr/lib`}},
		{"through a link below", []ent{file("lib/x", "2"), file(".wh.d", ""), file(".wh.e", ""), file(".wh.f", "")}, []string{`l lib -> usr/lib`, `d755 usr`, `d755 usr/lib`, `f644 usr/lib/x "2"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, check := arena(t)
			for _, in := range [][]ent{lower, tt.in} {
				if _, err := Apply(t.Context(), root, bytes.NewReader(pack(t, in...)), Options{Whiteouts: Plain}); err != nil {
					t.Fatal(err)
				}
			}
			check()
			if diff := cmp.Diff(lines(tt.want...), listing(t, root)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestApplyAttributes(t *testing.T) {
	needRoot(t)
	capability := string([]byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) // cap_net_raw+ep
	old := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	x := func(kv ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[paxXattr+kv[i]] = kv[i+1]
		}
		return m
	}
	in := []ent{
		{name: "./", kind: tar.TypeDir, mode: 0o711, uid: 5, gid: 6, mtime: old},
		{name: "d", kind: tar.TypeDir, mode: 0o2750, uid: 1, gid: 2, mtime: old, pax: x("user.k", "v", opaqueXattr, "y")},
		{name: "d/f", mode: 0o4755, uid: 3, gid: 4, mtime: old, body: "x", pax: x(
			"security.capability", capability, "user.k", "v", "user.overlay.opaque", "y",
			"trusted.overlay.metacopy", "", "security.selinux", "l", "system.posix_acl_access", "bad")},
		{name: "d/l", link: "f", kind: tar.TypeSymlink, mode: 0o777, uid: 7, gid: 8, mtime: old, pax: x("user.k", "v")},
		{name: "d/n", kind: tar.TypeChar, mode: 0o666, uid: 9, gid: 9, dev: [2]int64{1, 5}, mtime: old},
	}
	root := t.TempDir()
	if _, err := Apply(t.Context(), root, bytes.NewReader(pack(t, in...)), Options{}); err != nil {
		t.Fatal(err)
	}
	for _, e := range in {
		path := filepath.Join(root, e.name)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			t.Fatal(err)
		}
		if int64(st.Mode&0o7777) != e.mode || int(st.Uid) != e.uid || int(st.Gid) != e.gid {
			t.Errorf("%s: got %o %d:%d", e.name, st.Mode, st.Uid, st.Gid)
		}
		if got := time.Unix(st.Mtim.Unix()); !got.Equal(old) && !got.Equal(old.Truncate(time.Second)) {
			t.Errorf("%s: got time %v, want %v", e.name, got, old)
		}
	}
	for path, want := range map[string]map[string]string{
		"d":   {"user.k": "v", opaqueXattr: ""},
		"d/f": {"security.capability": capability, "user.k": "v", "user.overlay.opaque": "", "trusted.overlay.metacopy": "", "system.posix_acl_access": ""},
	} {
		for name, want := range want {
			if got := xattr(filepath.Join(root, path), name); got != want {
				t.Errorf("%s: %s: got %q, want %q", path, name, got, want)
			}
		}
	}
}

// The process' umask must not show.
func TestApplyUmask(t *testing.T) {
	needRoot(t)
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	root, _ := arena(t)
	in := pack(t, dir("d"), file("d/f", ""), file("implied/f", ""))
	if _, err := Apply(t.Context(), root, bytes.NewReader(in), Options{}); err != nil {
		t.Fatal(err)
	}
	want := lines(`d755 d`, `f644 d/f ""`, `d755 implied`, `f644 implied/f ""`)
	if diff := cmp.Diff(want, listing(t, root)); diff != "" {
		t.Error(diff)
	}
}

func TestApplyCancelled(t *testing.T) {
	root, check := arena(t)
	ctx, cancel := cancelled(t)
	defer cancel()
	_, err := Apply(ctx, root, bytes.NewReader(pack(t, file("f", "x"))), Options{})
	if !errors.Is(err, ctx.Err()) {
		t.Errorf("got %v, want %v", err, ctx.Err())
	}
	check()
}

func TestApplyNoDir(t *testing.T) {
	if _, err := Apply(t.Context(), filepath.Join(t.TempDir(), "none"), nil, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// Descriptors must not leak, whatever the order of entries is.
func TestApplyDescriptors(t *testing.T) {
	needRoot(t)
	var in []ent
	for i := range 200 {
		name := strings.Repeat("d/", i%40) + "x" + strings.Repeat("y", i/40)
		in = append(in, file(name, ""), hardlink(name+"-", name), file(name, "again"))
	}
	in = append(in, file("d", "all gone"), file("../x", "bad"))
	before := openFiles(t)
	if _, err := Apply(t.Context(), t.TempDir(), bytes.NewReader(pack(t, in...)), Options{}); err == nil {
		t.Error("no error")
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d open files, %d before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(fds)
}
