package snaptest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
)

type snapshotKey = snapshot.Key

func (s *suite) write(path, text string) {
	s.Helper()
	s.must(os.MkdirAll(filepath.Dir(path), 0o755))
	s.must(os.WriteFile(path, []byte(text), 0o644))
}

// text reads a file; what is missing or unreadable is its error.
func text(path string) string {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return "(missing)"
	}
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func (s *suite) equal(what, got, want string) {
	s.Helper()
	if got != want {
		s.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func testOrder(s *suite) {
	s.layer("a", "", func(d string) { s.write(d+"/1", "a"); s.write(d+"/2", "a"); s.write(d+"/d/x", "a") })
	s.layer("b", "a", func(d string) { s.write(d+"/2", "b"); s.write(d+"/d/y", "b") })
	s.must(s.store.Prepare("k", "b"))
	s.view("k", func(d string) {
		for path, want := range map[string]string{"1": "a", "2": "b", "d/x": "a", "d/y": "b", "3": "(missing)"} {
			s.equal(path, text(filepath.Join(d, path)), want)
		}
	})
}

func testWhiteouts(s *suite) {
	s.layer("a", "", func(d string) {
		s.write(d+"/gone", "a")
		s.write(d+"/dir/gone", "a")
		s.write(d+"/opaque/gone", "a")
		s.write(d+"/now-a-dir", "a")
		s.write(d+"/now-a-file/x", "a")
	})
	s.layer("b", "a", func(d string) {
		s.must(unix.Mknod(d+"/gone", unix.S_IFCHR, 0))
		s.must(os.Mkdir(d+"/dir", 0o755))
		s.must(unix.Mknod(d+"/dir/gone", unix.S_IFCHR, 0))
		s.write(d+"/opaque/new", "b")
		s.must(unix.Setxattr(d+"/opaque", "trusted.overlay.opaque", []byte("y"), 0))
		s.write(d+"/now-a-dir/x", "b")
		s.write(d+"/now-a-file", "b")
	})
	s.must(s.store.Prepare("k", "b"))
	s.view("k", func(d string) {
		for path, want := range map[string]string{
			"gone": "(missing)", "dir/gone": "(missing)", "opaque/gone": "(missing)", "opaque/new": "b",
			"now-a-dir/x": "b", "now-a-file": "b",
		} {
			s.equal(path, text(filepath.Join(d, path)), want)
		}
	})
}

func testRootMode(s *suite) {
	s.layer("a", "", func(d string) { s.must(os.Chown(d, 12, 34)); s.must(os.Chmod(d, 0o751|fs.ModeSticky)) })
	s.must(s.store.Prepare("k", "a"))
	s.view("k", func(d string) { s.equal("root", describe(d), "41751 12:34") })
}

// describe gives mode in octal and owner.
func describe(path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%o %d:%d", st.Mode, st.Uid, st.Gid)
}

func testIsolation(s *suite) {
	s.layer("a", "", func(d string) { s.write(d+"/f", "a"); s.write(d+"/g", "a") })
	s.must(s.store.Prepare("k1", "a"))
	s.must(s.store.Prepare("k2", "a"))
	s.view("k1", func(d string) {
		if err := errors.Join(os.WriteFile(d+"/f", []byte("k1"), 0o644), os.Remove(d+"/g"), os.Mkdir(d+"/new", 0o755)); err != nil {
			s.Error(err)
		}
	})
	s.view("k2", func(d string) { s.equal("f", text(d+"/f"), "a"); s.equal("g", text(d+"/g"), "a") })
	s.view("k1", func(d string) { s.equal("f", text(d+"/f"), "k1"); s.equal("g", text(d+"/g"), "(missing)") })
	if n, err := s.store.Usage("k1"); err == nil && n != 2 {
		s.Errorf("usage of k1: got %d, want 2", n)
	} else if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		s.Error(err)
	}
}

// A tree that is mounted as volatile can be so again, which overlay alone refuses.
func testVolatile(s *suite) {
	s.layer("a", "", func(d string) { s.write(d+"/f", "a") })
	s.must(s.store.Prepare("k", "a"))
	for _, before := range []string{"a", "k"} {
		ms, err := s.store.MountsVolatile("k", "")
		s.must(err)
		s.with(ms, func(d string) {
			s.equal("f", text(d+"/f"), before)
			if err := os.WriteFile(d+"/f", []byte("k"), 0o644); err != nil {
				s.Error(err)
			}
		})
	}
}

func testAttributes(s *suite) {
	capability := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // cap_net_raw+ep
	s.layer("a", "", func(d string) {
		s.write(d+"/tool", "x")
		s.must(os.Chown(d+"/tool", 7, 8))
		s.must(os.Chmod(d+"/tool", 0o755|fs.ModeSetuid))
		s.must(unix.Setxattr(d+"/tool", "security.capability", capability, 0))
		s.must(os.Link(d+"/tool", d+"/same"))
		s.must(os.Symlink("/nowhere", d+"/link"))
		s.must(unix.Mknod(d+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		s.must(os.Chmod(d+"/null", 0o666))
	})
	s.must(s.store.Prepare("k", "a"))
	s.view("k", func(d string) {
		s.equal("tool", describe(d+"/tool"), "104755 7:8")
		buf := make([]byte, 64)
		n, err := unix.Getxattr(d+"/tool", "security.capability", buf)
		s.equal("capability", fmt.Sprintf("%x %v", buf[:max(n, 0)], err), fmt.Sprintf("%x <nil>", capability))
		a, err1 := os.Stat(d + "/tool")
		b, err2 := os.Stat(d + "/same")
		if err1 != nil || err2 != nil || !os.SameFile(a, b) {
			s.Errorf("hard link is lost: %v %v", err1, err2)
		}
		target, _ := os.Readlink(d + "/link")
		s.equal("link", target, "/nowhere")
		s.equal("null", describe(d+"/null"), "20666 0:0")
	})
}

func testReadOnly(s *suite) {
	s.layer("a", "", func(d string) { s.write(d+"/f", "a") })
	s.must(s.store.Prepare("k", "a"))
	tree, parents := s.trees("k")
	s.with(s.driver.Mounts(tree, parents, true), func(d string) {
		s.equal("f", text(d+"/f"), "a")
		if err := os.WriteFile(d+"/g", nil, 0o644); !errors.Is(err, syscall.EROFS) {
			s.Errorf("write to the read-only view: got %v, want EROFS", err)
		}
	})
}

// trees gives the values that the store hands to the driver for a key on "a".
func (s *suite) trees(key snapshot.Key) (snapshot.Tree, []snapshot.Tree) {
	dirs, err := filepath.Glob(s.root + "/l/*")
	s.must(err)
	return snapshot.Tree{Dir: s.root + "/keys/" + string(key)}, []snapshot.Tree{{Dir: dirs[0]}}
}

func testManyLayers(s *suite) {
	var stages []*snapshot.Stage
	parent := snapshot.Name("")
	for i := range 127 {
		name := snapshot.Name(fmt.Sprintf("layer-%d", i))
		st, err := s.store.Stage(name, parent)
		s.must(err)
		s.write(fmt.Sprintf("%s/f%d", st.Dir(), i), "x")
		stages, parent = append(stages, st), name
	}
	s.must(snapshot.Commit(stages...))
	s.must(s.store.Prepare("k", parent))
	ms, err := s.store.Mounts("k", "")
	s.must(err)
	// As long as it is where it belongs: tests have longer paths.
	short := strings.ReplaceAll(strings.Join(ms[0].Options, ","), s.root, "/var/lib/berth/snapshots")
	short = strings.ReplaceAll(short, "/keys/k/", "/keys/"+strings.Repeat("k", 64)+"/")
	if len(short) >= 4096 {
		s.Errorf("options of 127 layers take %d bytes, a page has 4096", len(short))
	}
	if ms[0].Type == "overlay" && len(strings.Join(ms[0].Options, ",")) >= 4096 {
		return // the test's directory is too long for mount(2)
	}
	s.view("k", func(d string) {
		entries, err := os.ReadDir(d)
		if err != nil || len(entries) != 127 {
			s.Errorf("got %d files (%v), want 127", len(entries), err)
		}
	})
}

func testRemoveTwice(s *suite) {
	s.layer("a", "", func(d string) { s.write(d+"/f", "a") })
	s.must(s.store.Prepare("k", "a"))
	s.view("k", func(d string) {
		if err := os.MkdirAll(d+"/deep/er", 0o700); err != nil {
			s.Error(err)
		}
	})
	s.must(s.store.Remove("k"))
	s.must(s.store.Remove("k"))
	if left, err := s.store.Keys(); len(left) > 0 || err != nil {
		s.Errorf("left behind: %v %v", left, err)
	}
	s.must(s.store.RemoveName("a"))
}

// testCreateFails puts something in the way of the driver.
func testCreateFails(s *suite) {
	t := snapshot.Tree{Dir: s.root + "/t"}
	s.must(os.Mkdir(t.Dir, 0o700))
	s.must(os.WriteFile(t.Dir+"/fs", nil, 0o600))
	if err := s.driver.Create(t, []snapshot.Tree{{Dir: s.TempDir()}}); err == nil {
		s.Error("create over a file: no error")
	} else if fault.KindOf(err) == fault.Damaged {
		s.Errorf("create over a file: %v is no damage", err)
	}
	s.must(s.driver.Remove(t))
	if _, err := os.Lstat(t.Dir); !errors.Is(err, fs.ErrNotExist) {
		s.Errorf("remove after a failed create left %s: %v", t.Dir, err)
	}
}
