package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-engine/berth/test/ledger"
)

// TestNothingLeft does things that end well and badly; newEngine's ledger and
// the one here look at the machine and at the engine's directories after each.
func TestNothingLeft(t *testing.T) {
	outer := newEngine(t)
	outer.ok("run", "--rm", "host", "true") // the stores are made at first use
	notDir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		code int
	}{
		{"a program ends", []string{"host", "true"}, 0},
		{"a program fails", []string{"host", "false"}, 1},
		{"a signal", []string{"host", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"}, 137},
		{"children stay behind", []string{"host", "sh", "-c", "sleep 600 & sleep 600 & exit 3"}, 3},
		{"a program is missing", []string{"host", "/no/such/program"}, 127},
		{"a file is no program", []string{"host", "/etc/passwd"}, 126},
		{"a directory is no program", []string{"host", "/etc"}, 126},
		{"a user is missing", []string{"-u", "nobody-of-that-name", "host", "true"}, 125},
		{"a mount source is missing", []string{"--mount", "type=bind,source=/no/such,target=/mnt", "host", "true"}, 125},
		{"a mount target is a file", []string{"-v", "/tmp:/etc/passwd", "host", "true"}, 125},
		{"a mount goes over proc", []string{"-v", "/tmp:/proc", "host", "true"}, 125},
		{"a sysctl is missing", []string{"--sysctl", "net.no.such=1", "host", "true"}, 125},
		{"a device is missing", []string{"--device", "/dev/no-such", "host", "true"}, 125},
		{"memory for nothing", []string{"--memory", "6m", "host", "sh", "-c", "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done"}, 137},
		{"a working directory is a file", []string{"-w", "/etc/passwd", "host", "true"}, 125},
		{"a work dir of its own", []string{"-w", "/made/for/this", "host", "pwd"}, 0},
		{"a container's network is missing", []string{"--network", "container:nobody", "host", "true"}, 125},
		{"a root is missing", []string{"--rootfs", "/no/such/dir", "true"}, 125},
		{"a root is a file", []string{"--rootfs", notDir, "true"}, 125},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := outer.in(t)
			scope := ledger.Scope{Marks: []string{filepath.Dir(e.root)}, Dirs: []string{e.root, e.state}}
			before := ledger.Take(scope)
			r := e.run(append([]string{"run", "--rm"}, tt.args...)...)
			if r.code != tt.code {
				t.Errorf("exit code %d, want %d\n%s", r.code, tt.code, r)
			}
			if tt.code == 125 || tt.code == 126 || tt.code == 127 {
				oneLine(t, r)
			}
			if left := ledger.Left(before, scope); len(left) > 0 {
				t.Errorf("left behind:\n\t%s", strings.Join(left, "\n\t"))
			}
		})
	}
}

// oneLine checks that a failure says what it has to say in one line, and no
// more: no panic, no usage.
func oneLine(t *testing.T, r result) {
	t.Helper()
	text := strings.TrimSuffix(r.err, "\n")
	if text == "" || strings.Contains(text, "\n") || strings.Contains(text, "goroutine ") {
		t.Errorf("stderr is not one line:\n%s", r.err)
	}
}
