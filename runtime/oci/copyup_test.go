package oci

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/fixture"
)

// fileCaps is cap_net_bind_service=ep, struct vfs_cap_data of revision 2.
var fileCaps = append([]byte{1, 0, 0, 2, 0, 4, 0, 0}, make([]byte, 12)...)

// A tree keeps its hard links and extended attributes.
func TestCopyTree(t *testing.T) {
	fixture.Root(t)
	from, to := t.TempDir(), t.TempDir()
	// What is copied to has to take the attributes, or they are left out.
	if err := unix.Setxattr(to, "user.probe", []byte("x"), 0); err != nil {
		t.Skip("no user attributes in", to, err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(from+"/sub/deep", 0o755))
	must(os.WriteFile(from+"/file", []byte("one"), 0o640))
	must(os.WriteFile(from+"/single", []byte("two"), 0o600))
	for _, name := range []string{"again", "sub/third", "sub/deep/fourth"} {
		must(os.Link(from+"/file", from+"/"+name))
	}
	must(os.Symlink("target", from+"/link"))
	must(unix.Linkat(unix.AT_FDCWD, from+"/link", unix.AT_FDCWD, from+"/sub/link", 0))
	must(unix.Mkfifo(from+"/fifo", 0o600))
	must(os.Link(from+"/fifo", from+"/sub/fifo"))
	must(os.Chown(from+"/file", 12, 34)) // takes capabilities away
	want := map[string]map[string][]byte{
		"file": {"security.capability": fileCaps, "user.a": []byte("1")}, "single": {"user.empty": {}}, "sub": {"user.dir": bytes.Repeat([]byte("x"), 1000)},
	}
	for name, attrs := range want {
		for a, v := range attrs {
			must(unix.Setxattr(filepath.Join(from, name), a, v, 0))
		}
	}
	must(unix.Setxattr(from+"/single", "trusted.other", []byte("x"), 0))

	src, err := os.Open(from)
	must(err)
	defer src.Close()
	dst, err := os.Open(to)
	must(err)
	defer dst.Close()
	must(copyTree(int(src.Fd()), int(dst.Fd()), fsOwner{}))

	for _, same := range [][]string{{"file", "again", "sub/third", "sub/deep/fourth"}, {"link", "sub/link"}, {"fifo", "sub/fifo"}} {
		var first unix.Stat_t
		must(unix.Lstat(to+"/"+same[0], &first))
		if int(first.Nlink) != len(same) {
			t.Errorf("%s has %d names", same[0], first.Nlink)
		}
		for _, name := range same[1:] {
			var st unix.Stat_t
			if err := unix.Lstat(to+"/"+name, &st); err != nil || st.Ino != first.Ino {
				t.Errorf("%s is not %s: %v", name, same[0], err)
			}
		}
	}
	var st unix.Stat_t
	must(unix.Stat(to+"/file", &st))
	if st.Uid != 12 || st.Gid != 34 || st.Mode&0o7777 != 0o640 {
		t.Errorf("%d:%d %o", st.Uid, st.Gid, st.Mode)
	}
	for name, attrs := range want {
		for a, v := range attrs {
			got := make([]byte, 2000)
			n, err := unix.Getxattr(filepath.Join(to, name), a, got)
			if err != nil || !bytes.Equal(got[:n], v) {
				t.Errorf("%s of %s: %q, %v", a, name, got[:max(n, 0)], err)
			}
		}
	}
	if _, err := unix.Getxattr(to+"/single", "trusted.other", nil); !errors.Is(err, unix.ENODATA) {
		t.Errorf("trusted.other was copied: %v", err)
	}
}

// In a container the copies keep them, too, with a user namespace as without;
// a file that is not the maker's has more names than one as well.
func TestTmpCopyUpLinks(t *testing.T) {
	for _, userns := range []bool{false, true} {
		p := newPod(t, "cd /full; stat -c '%n %h %u' file sub/again; [ file -ef sub/again ] && echo same")
		owner := 7
		if userns {
			mapped(p)
			owner += 100000
		}
		for _, dir := range []string{"full", "full/sub"} {
			if err := os.Mkdir(p.rootfs(dir), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(p.rootfs(dir), owner-7, owner-7); err != nil {
				t.Fatal(err)
			}
		}
		p.write("full/file", "x", 0o600)
		if err := errors.Join(os.Link(p.rootfs("full/file"), p.rootfs("full/sub/again")), os.Chown(p.rootfs("full/file"), owner, owner)); err != nil {
			t.Fatal(err)
		}
		if err := unix.Setxattr(p.rootfs("full/file"), "security.capability", fileCaps, 0); err != nil {
			t.Fatal(err)
		}
		p.mount(specs.Mount{Destination: "/full", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup"}})
		o := newOutput(t)
		proc := p.create(o)
		if n, err := unix.Getxattr(rootOf(&State{State: specs.State{Pid: proc.Pid}})+"/full/file", "security.capability", make([]byte, 64)); err != nil || n < len(fileCaps) {
			t.Errorf("user namespace %t: capabilities of the copy: %d bytes, %v", userns, n, err)
		}
		if err := p.Start(t.Context(), p.id); err != nil {
			t.Fatal(err)
		}
		if got := o.text(); got != "file 2 7\nsub/again 2 7\nsame\n" {
			t.Errorf("user namespace %t: %q", userns, got)
		}
	}
}
