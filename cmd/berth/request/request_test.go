package request

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt")

// client is a caller's surroundings made up for tests.
var client = Client{
	LookupEnv: func(k string) (string, bool) {
		v, ok := map[string]string{"FROM": "client", "EMPTY": ""}[k]
		return v, ok
	},
	ReadFile: func(name string) ([]byte, error) {
		text, ok := map[string]string{
			"vars":   "# comment\nA=1\n\nB=two words\nFROM\nABSENT\nA=2\n",
			"labels": "com.example.tier=web\nbare\n",
			"bad":    "has space=1\n",
			"p.json": "{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }",
			"broken": "{",
		}[name]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return []byte(text), nil
	},
	Getwd: func() (string, error) { return "/home/me", nil },
}

// TestGolden reads files of flags, one argument a line ("" is an empty one), and what they become:
//
//	flags…
//	--
//	the request as JSON, or "error: …"
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			argv, want, ok := strings.Cut(string(data), "--\n")
			if !ok {
				t.Fatal("no line --")
			}
			words := strings.Split(strings.TrimSpace(argv), "\n")
			for i, w := range words {
				if w == `""` {
					words[i] = ""
				}
			}
			got := parse(words)
			if *update {
				if err := os.WriteFile(file, []byte(argv+"--\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("request (-want +got):\n%s", d)
			}
		})
	}
}

func parse(argv []string) string {
	var f Flags
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	set.SetInterspersed(false)
	f.Register(set)
	if err := set.Parse(argv); err != nil {
		return "error: " + err.Error() + "\n"
	}
	res, err := f.Request(set.Args(), client)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	b, err := json.MarshalIndent(res.Request, "", "  ")
	if err != nil {
		return err.Error()
	}
	out := string(b) + "\n"
	for _, w := range res.Warnings {
		out += "warning: " + w + "\n"
	}
	return out
}

func TestEveryRefusedFlagSaysWhy(t *testing.T) {
	for _, r := range refusalTable {
		arg := "--" + r.name
		if r.kind != "" {
			arg += "=1"
		}
		got := parse([]string{arg, "image"})
		if !strings.HasPrefix(got, "error: -") || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %q is not one line that names the flag", arg, got)
		}
	}
}

func TestSignal(t *testing.T) {
	for _, tt := range []struct{ in, want string }{{"", ""}, {"term", "SIGTERM"}, {"9", "SIGKILL"}, {"SIGUSR1", "SIGUSR1"}} {
		if got, err := Signal(tt.in); err != nil || got != tt.want {
			t.Errorf("Signal(%q) = %q, %v", tt.in, got, err)
		}
	}
	if _, err := Signal("NOPE"); err == nil {
		t.Error("NOPE is no signal")
	}
}

func TestReadBounded(t *testing.T) {
	if _, err := readBounded(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := readBounded("/dev/zero"); err == nil {
		t.Error("an endless file was read")
	}
}

// Whatever the words are, parsing them ends and says so in an error.
func FuzzFlags(f *testing.F) {
	for _, s := range []string{"-v\n/a:/b\nimg", "--mount\ntype=tmpfs,dst=/x\nimg", "--ulimit\nnofile=1:2\nimg\nsh", "-e\nA=b\n--security-opt\nseccomp=p.json\nimg"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := parse(strings.Split(s, "\n"))
		if got == "" {
			t.Fatalf("%q gave neither a request nor an error", s)
		}
	})
}
