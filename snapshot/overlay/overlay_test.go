package overlay_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
