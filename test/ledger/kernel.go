package ledger

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-engine/berth/internal/kernel"
)

// A line of mountinfo, numbered as proc(5) does from 0:
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw
//	           3     4                         - 0    1
const (
	mountRoot   = 3
	mountTarget = 4
)

// mountLines calls fn with the fields before and after the dash.
func mountLines(file string, fn func(place, source []string)) {
	text, err := os.ReadFile(file)
	if err != nil {
		return // no proc: nothing can be seen, and nothing was made by us
	}
	for line := range strings.Lines(string(text)) {
		place, source, found := strings.Cut(line, " - ")
		p, s := strings.Fields(place), strings.Fields(source)
		if found && len(p) > mountTarget && len(s) > 1 {
			fn(p, s)
		}
	}
}

func (v *view) mounts(file string) {
	mountLines(file, func(place, source []string) {
		root, target := place[mountRoot], place[mountTarget]
		kind := "mount"
		if source[0] == "nsfs" {
			kind = "netns" // a namespace pinned by a bind mount: net:[4026532…]
		}
		if v.ours(root, target, strings.Join(source, " ")) {
			v.add(kind, target+" ("+source[0]+" "+root+")")
		}
	})
}

func (v *view) cgroups(file string) {
	mountLines(file, func(place, source []string) {
		if source[0] != "cgroup" && source[0] != "cgroup2" {
			return
		}
		// A group that goes while we walk is no error of ours.
		_ = filepath.WalkDir(place[mountTarget], func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && v.ours(path) {
				v.add("cgroup", path)
			}
			return nil
		})
	})
}

func (v *view) links() {
	links, err := net.Interfaces()
	if err != nil {
		return
	}
	for _, l := range links {
		if v.ours(l.Name) {
			v.add("link", l.Name)
		}
	}
}

// files lists the state directories: path and kind, not times or content. What
// Spread adds to a directory once goes with that directory.
func (v *view) files() {
	for _, dir := range v.Dirs {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if d != nil && d.Name() == kernel.Places {
				return fs.SkipDir
			}
			if err == nil && path != dir {
				v.add("file", path+" "+d.Type().String())
			}
			return nil
		})
	}
}
