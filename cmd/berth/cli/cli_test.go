package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/internal/fault"
)

func TestMoment(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		in   string
		want time.Time
	}{
		{"", time.Time{}},
		{"10m", now.Add(-10 * time.Minute)},
		{"2026-07-01T10:00:00Z", time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)},
		{"2026-07-01T10:00:00.5+02:00", time.Date(2026, 7, 1, 8, 0, 0, 5e8, time.UTC)},
		{"2026-07-01T10:00:00", time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)},
		{"2026-07-01T10:00", time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)},
		{"2026-07-01", time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)},
		{"1700000000", time.Unix(1700000000, 0)},
		{"1700000000.25", time.Unix(1700000000, 250_000_000)},
	} {
		got, err := moment(tt.in, now)
		if err != nil || !got.Equal(tt.want) {
			t.Errorf("%q: %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
	for _, bad := range []string{"yesterday", "1.2.3", "1700000000.1234567890", "2026-13-01", "--"} {
		if _, err := moment(bad, now); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzMoment(f *testing.F) {
	for _, s := range []string{"1h", "2026-07-01", "1700000000.5", "-1", "."} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) { _, _ = moment(s, time.Unix(1e9, 0)) })
}

type codedError struct{ code int }

func (e codedError) Error() string { return "coded" }
func (e codedError) ExitCode() int { return e.code }

func TestStartCode(t *testing.T) {
	wrap := func(errno syscall.Errno) error { return fault.Op(`exec: "/x"`, "", errno) }
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"the runtime's own", fault.Op("start", "", codedError{127}), 127},
		{"missing", wrap(syscall.ENOENT), 127},
		{"no directory", wrap(syscall.ENOTDIR), 127},
		{"not permitted", wrap(syscall.EACCES), 126},
		{"no program", wrap(syscall.ENOEXEC), 126},
		{"missing, but not the program", fault.Op("mount", "/x", syscall.ENOENT), 125},
		{"ours", errors.New("boom"), 125},
	} {
		if got := startCode(tt.err, codeEngine); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestWanted(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"run", "--rm", "x"}, "run"},
		{[]string{"--root", "ps", "--state=/s", "-D", "rm", "x"}, "rm"},
		{[]string{"container", "ls"}, "container"},
		{[]string{"--version"}, none},
		{[]string{"--help"}, ""},
		{[]string{"help", "run"}, ""},
		{[]string{"nosuch"}, ""},
		{[]string{"__complete", "ru"}, ""},
		{nil, ""},
	} {
		if got := wanted(tt.args); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.args, got, tt.want)
		}
	}
}

// Every command has what help and manuals need, and no two flags of one
// command fight for a letter.
func TestTree(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s has no short help", c.CommandPath())
		}
		if c.Use == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: use %q, short %q", c.CommandPath(), c.Use, c.Short)
		}
		for _, s := range c.Commands() {
			walk(s)
		}
	}
	walk(New())
}

// TestExitCodes runs whole command lines that need no root.
func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		args string
		code int
		err  string
	}{
		{"--version", 0, ""},
		{"", 0, ""},
		{"run --help", 0, ""},
		{"nosuch", 1, "unknown command: berth nosuch"},
		{"container nosuch", 1, "unknown command: berth container nosuch"},
		{"run", 1, "'berth run' requires at least 1 argument"},
		{"tag one", 1, "'berth tag' requires exactly 2 arguments"},
		{"ps extra", 1, "'berth ps' accepts no arguments"},
		{"import", 1, "requires at least 1 and at most 2 arguments"},
		{"run --nosuch x", 125, "unknown flag: --nosuch"},
		{"run -m lots x", 125, "invalid argument"},
		{"run -p 80:80 x", 125, "-p: publishing ports needs bridge networking"},
		{"run --network bridge x", 125, "use --network host or none"},
		{"run -d -a stdin x", 125, "cannot specify both"},
		{"run -a nowhere x", 125, "valid streams are"},
		{"run --detach-keys ctrl-P x", 125, "invalid detach keys"},
		{"run -it x", 1, "the input device is not a TTY"},
		{"-H tcp://1.2.3.4 ps", 1, "no daemon"},
		{"--log-level loud ps", 1, "none of debug"},
		{"start -a one two", 1, "cannot start and attach multiple"},
		{"inspect --type volume x", 1, "not a valid value for --type"},
		{"logs --since never x", 1, "is no time"},
		{"kill -s NOPE x", 1, "NOPE"},
		{"ps --filter odd", 1, "invalid filter"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			code, _, stderr := invoke(t, strings.Fields(tt.args)...)
			if code != tt.code || !strings.Contains(stderr, tt.err) || (tt.err == "") != (stderr == "") {
				t.Errorf("code %d, want %d; stderr %q, want %q in it", code, tt.code, stderr, tt.err)
			}
		})
	}
}

// invoke runs a command line with files for its streams.
func invoke(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("BERTH_ROOT", filepath.Join(dir, "root"))
	t.Setenv("BERTH_STATE", filepath.Join(dir, "state"))
	open := func(name string) *os.File {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	in, out, errs := open("in"), open("out"), open("err")
	code = Main(Build{Version: "test"}, args, Stdio{in, out, errs})
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	return code, read("out"), read("err")
}
