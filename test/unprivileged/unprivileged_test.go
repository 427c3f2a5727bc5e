package unprivileged

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-engine/berth/test/fixture"
	"github.com/berth-engine/berth/test/gotest"
)

// nobody is a user of every Debian, and has no rights at all.
const nobody = 65534

// apart are packages that only start other machines, or this test.
var apart = []string{"test/unprivileged", "test/vm"}

func TestWithoutRoot(t *testing.T) {
	fixture.Root(t)
	fixture.Need(t, "setpriv")
	list, err := exec.Command("go", "list", "../../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := slices.DeleteFunc(strings.Fields(string(list)), func(p string) bool {
		return slices.ContainsFunc(apart, func(a string) bool { return strings.HasSuffix(p, "/"+a) })
	})
	passed := 0
	for _, e := range run(t, packages) {
		switch {
		case e.Test == "":
		case e.Action == "pass":
			passed++
		case e.Action == "fail":
			t.Errorf("%s %s fails without root:\n%s", e.Package, e.Test, e.Output)
		case e.Action == "skip" && gotest.Reason(strings.SplitAfter(e.Output, "\n")) == gotest.NoReason:
			t.Errorf("%s %s does not say why it is skipped", e.Package, e.Test)
		}
	}
	if passed < 1000 {
		t.Errorf("%d tests passed: that is not all of them", passed)
	}
}

// run runs the tests as nobody and returns how each of them ended, with its
// output.
func run(t *testing.T, packages []string) (ends []gotest.Event) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-json", "-count=1", "-p=1", "-exec", wrapper(t)}, packages...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	output := map[[2]string]string{}
	var said strings.Builder // of packages: what keeps one from being built or run
	err = gotest.Read(out, func(e gotest.Event) {
		id := [2]string{e.Package, e.Test}
		switch e.Action {
		case "output", "build-output":
			output[id] += e.Output
			if e.Test == "" {
				said.WriteString(e.Output)
			}
		case "pass", "fail", "skip":
			e.Output = output[id]
			ends = append(ends, e)
			delete(output, id)
		}
	}, func(line string) error {
		t.Error(gotest.Strange(line))
		return nil // go test writes on, and waits for us to read
	})
	if err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("go test: %v\n%s", err, said.String())
	}
	return ends
}

// wrapper writes the program that runs a test binary as nobody.
func wrapper(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "berth-nobody.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	home := filepath.Join(dir, "home")
	for _, step := range []error{
		os.Chmod(dir, 0o755),
		os.Mkdir(home, 0o700),
		os.Chown(home, nobody, nobody),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	if err := asNobody("test", "-r", "doc.go").Run(); err != nil {
		t.Skip("the checkout is below a directory that only root may enter")
	}
	if err := os.CopyFS(filepath.Join(dir, "bin"), os.DirFS(fixture.Binaries(t).Dir)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "wrapper")
	if err := os.WriteFile(file, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// script's place for binaries is not Go's own, which is for root's eyes only.
// What the machine lacks for nobody is no failure, in CI neither.
const script = `#!/bin/sh
dir=${0%/*}
unset CI
binary=$dir/$$.test
cp "$1" "$binary" && chmod 755 "$binary" || exit 1
shift
HOME=$dir/home TMPDIR=$dir/home BERTH_TEST_BIN=$dir/bin setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$binary" "$@"
status=$?
rm -f "$binary"
exit $status
`

func asNobody(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}
