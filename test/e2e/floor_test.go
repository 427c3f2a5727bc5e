package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-engine/berth/test/fixture"
)

// TestImageWithoutMountPoints: what an image lacks for its container's mounts
// is there for everybody to read, and the container's own tree stays empty.
func TestImageWithoutMountPoints(t *testing.T) {
	e := newEngine(t)
	root := fixture.Busybox(t)
	for _, dir := range []string{"dev", "etc", "proc", "sys"} {
		if err := os.RemoveAll(filepath.Join(root, dir)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "bare.tar")
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", root, "-cf", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v %s", err, out)
	}
	e.ok("import", file, "bare")

	source := filepath.Join(filepath.Dir(e.root), "made/for/it")
	const look = "cat /etc/hostname /etc/hosts /etc/resolv.conf >/dev/null; ls -d /dev/null /proc/self /sys/class; stat -c %a /etc; ls /v"
	berth := e.command(t.Context(), "run", "--name", "looks", "--user", "1000", "-v", source+":/v", "bare", "sh", "-c", look)
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `umask 077; exec "$@"`, "sh"}, berth.Args...)...)
	cmd.Env = berth.Env
	out, err := cmd.CombinedOutput()
	if want := "/dev/null\n/proc/self\n/sys/class\n755\n"; err != nil || string(out) != want {
		t.Errorf("%v, %q; want %q", err, out, want)
	}
	upper := e.ok("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "looks")
	if got := strings.Join(entries(t, upper), " "); got != "v" { // the user's mount point is made for him
		t.Errorf("in the container's own tree: %q", got)
	}

	// What it writes beside them is its own, and kept.
	e.ok("run", "--name", "writes", "bare", "sh", "-c", "echo ahoy >/etc/motd")
	upper = e.ok("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "writes")
	if got := strings.Join(entries(t, upper), " "); got != "etc etc/motd" {
		t.Errorf("in the tree of one that writes: %q", got)
	}
	if err := os.RemoveAll(filepath.Join(e.root, "floor")); err != nil {
		t.Fatal(err)
	}
	e.ok("start", "-a", "writes") // somebody tidied up: it is made again
}

// entries are the names below dir.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
