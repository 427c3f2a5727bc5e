package overlay_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/snapshot"
	"github.com/berth-engine/berth/snapshot/overlay"
	"github.com/berth-engine/berth/snapshot/snaptest"
)

func TestDriver(t *testing.T) {
	snaptest.Run(t, func(root string) (snapshot.Driver, error) { return overlay.New(root) })
}

func TestMounts(t *testing.T) {
	d, err := overlay.New("/s")
	if err != nil {
		t.Fatal(err)
	}
	tree := snapshot.Tree{Dir: "/s/keys/k"}
	parents := []snapshot.Tree{{Dir: "/s/l/b"}, {Dir: "/s/l/a"}}
	fixed := []string{"index=off", "metacopy=off", "redirect_dir=nofollow", "xino=auto"}
	for _, tt := range []struct {
		name string
		ro   bool
		want []string
	}{
		{"writable", false, []string{"lowerdir=/s/l/b:/s/l/a", "upperdir=/s/keys/k/fs", "workdir=/s/keys/k/work"}},
		{"read-only", true, []string{"lowerdir=/s/keys/k/fs:/s/l/b:/s/l/a", "ro"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := d.Mounts(tree, parents, tt.ro)
			want := []mount.Mount{{Type: "overlay", Source: "overlay", Options: append(tt.want, fixed...)}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNewBadRoot(t *testing.T) {
	for _, root := range []string{"/a:b", "/a,b", `/a\b`} {
		if _, err := overlay.New(root); err == nil || !strings.Contains(err.Error(), "overlay cannot have") {
			t.Errorf("New(%q): got %v", root, err)
		}
	}
}

// A store inside another engine's container: the error says what to do.
func TestCreateOnOverlay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	top := t.TempDir()
	for _, dir := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(top, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	err := kernel.OwnMounts(func() error {
		options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", top)
		if err := unix.Mount("overlay", top+"/merged", "overlay", 0, options); err != nil {
			return err
		}
		root := filepath.Join(top, "merged/snapshots")
		d, err := overlay.New(root)
		if err != nil {
			return err
		}
		s, err := snapshot.Open(root, d)
		if err != nil {
			return err
		}
		return s.Prepare("k", snapshot.Host)
	})
	if !errors.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), "put the state (--root) on ext4") {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(top + "/upper/snapshots/keys/[a-z]*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The host's root as a base: all of it can be seen, nothing can be changed.
func TestHost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	root := t.TempDir()
	d, err := overlay.New(root)
	if err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Open(root, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare("k", snapshot.Host); err != nil {
		t.Fatal(err)
	}
	ms, err := s.Mounts("k", "")
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	name := "/berth-test-" + filepath.Base(root) + strconv.Itoa(os.Getpid())
	err = kernel.OwnMounts(func() error {
		if err := unix.Mount(ms[0].Source, target, ms[0].Type, 0, strings.Join(ms[0].Options, ",")); err != nil {
			return err
		}
		host, err := os.ReadFile("/etc/passwd")
		if err != nil {
			return err
		}
		seen, err := os.ReadFile(target + "/etc/passwd")
		if err != nil || !bytes.Equal(host, seen) {
			return fmt.Errorf("/etc/passwd differs: %w", err)
		}
		return errors.Join(os.WriteFile(target+name, nil, 0o600), os.Remove(target+"/etc/passwd"))
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat("/etc/passwd"); err != nil {
		t.Errorf("the host's file: %v", err)
	}
	if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file appeared on the host: %v", err)
	}
	if err := s.Remove("k"); err != nil {
		t.Error(err)
	}
}
