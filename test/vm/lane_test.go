package vm

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-engine/berth/test/fixture"
)

// For whoever looks into one thing:
//
//	go test ./test/vm -run TestV2 -v -args -only runtime/oci -inner TestLife
var (
	only  = flag.String("only", "", "run no package but this one in the guests")
	inner = flag.String("inner", "", "run these tests in the guests and not those chosen (-test.run)")
)

// lacking is run.sh's status where a program or a kernel is not to be had.
const lacking = 77

// lane boots a machine, runs the jobs in it one after the other, and reports
// every one of their tests as a subtest.
func lane(t *testing.T, machine []string, jobs []job) {
	t.Helper()
	t.Parallel()
	fixture.Root(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("the test machines are amd64, and this one is not")
	}
	if jobs = chosen(jobs); len(jobs) == 0 {
		t.Skipf("-only %s: nothing of it runs here", *only)
	}
	if out, err := command(t, append(machine, "--setup")...); status(err) == lacking {
		fixture.Lack(t, "%s", out)
	} else if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	bin := binaries(t)
	share := t.TempDir()
	if err := os.WriteFile(filepath.Join(share, "jobs"), []byte(script(module(t), bin, jobs)), 0o600); err != nil {
		t.Fatal(err)
	}
	// Longer than a busy machine needs, shorter than make test waits.
	args := []string{"--timeout", "1400", "--share", share, "--ro-share", module(t), "--ro-share", bin, "--env", "CI=" + os.Getenv("CI")}
	args = append(append(args, machine...), "--", "sh", "jobs")
	out, ended := command(t, args...)
	for i, j := range jobs {
		t.Run(j.pkg, func(t *testing.T) { j.report(t, filepath.Join(share, strconv.Itoa(i)), ended) })
	}
	if ended != nil {
		t.Errorf("run.sh: %v\n%s", ended, out)
	}
}

// chosen are the jobs that the flags leave.
func chosen(jobs []job) (out []job) {
	for _, j := range jobs {
		if *only != "" && *only != j.pkg {
			continue
		}
		if *inner != "" {
			j = job{pkg: j.pkg, run: *inner}
		}
		out = append(out, j)
	}
	return out
}

// script is what the guest does: every job in the directory of its package,
// where its testdata is. What runs often goes to a disk of the guest: programs
// start twice as fast from there. A job's end is in its file's status.
func script(root, bin string, jobs []job) string {
	var b strings.Builder
	fmt.Fprintf(&b, "mkdir /scratch/bin && cp '%s'/berth '%[1]s'/berth-oci '%[1]s'/berth-criu /scratch/bin/\n", bin)
	b.WriteString("export BERTH_TEST_BIN=/scratch/bin; share=$PWD\n")
	for i, j := range jobs {
		fmt.Fprintf(&b, "cd '%s/%s'\n'%s/%s.test' -test.v=test2json -test.timeout=10m", root, j.pkg, bin, path.Base(j.pkg))
		if j.run != "" {
			fmt.Fprintf(&b, " -test.run='%s'", j.run)
		}
		if j.skip != "" {
			fmt.Fprintf(&b, " -test.skip='%s'", j.skip)
		}
		fmt.Fprintf(&b, " >\"$share\"/%d 2>&1; echo $? >\"$share\"/%[1]d.status\n", i)
	}
	return b.String()
}

// report replays what the job has written to file. ended is the machine's own
// error, which explains what a job did not do.
func (j job) report(t *testing.T, file string, ended error) {
	output, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("did not begin: %v; run.sh: %v", err, ended)
	}
	r := decode(t, output)
	r.replayBelow(t)
	code, err := os.ReadFile(file + ".status")
	switch {
	case err != nil:
		t.Errorf("did not come to an end; run.sh: %v\n%s", ended, strings.Join(r.output, ""))
	case strings.TrimSpace(string(code)) != "0" && !t.Failed():
		t.Errorf("exit status %s\n%s", strings.TrimSpace(string(code)), strings.Join(r.output, ""))
	}
	for _, name := range j.must {
		if got := r.find(name); got == nil || got.action == "skip" {
			t.Errorf("%s did not run, and this machine is there for it", name)
		}
	}
}

// command is run.sh, which ends with us. It says why it failed in its output.
func command(t *testing.T, args ...string) (string, error) {
	cmd := exec.CommandContext(t.Context(), filepath.Join(module(t), "test/vm/run.sh"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	// The kernel sends that when the thread ends that made the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if p := cmd.ProcessState; p != nil {
		t.Logf("run.sh took %.1f s, and %.1f s of CPU", time.Since(began).Seconds(), (p.UserTime() + p.SystemTime()).Seconds())
	}
	return strings.TrimSpace(string(out)), err
}

func status(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// module is the directory of the whole project.
func module(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// built has the test programs of all lanes, as the tag vm makes them, and
// berth's own. They are made when the first lane needs them.
var built struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

func binaries(t *testing.T) string {
	t.Helper()
	built.Do(func() { built.dir, built.err = build(module(t), fixture.Binaries(t)) })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

func build(root string, own fixture.Bin) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "berth-vm-bin"); err != nil {
		return "", err
	}
	args := []string{"test", "-c", "-tags", "vm", "-o", dir + "/"}
	for _, pkg := range packages() {
		args = append(args, "./"+pkg)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	if out, err := exec.Command("cp", own.Berth, own.OCI, own.Criu, dir).CombinedOutput(); err != nil {
		return dir, fmt.Errorf("cp: %w\n%s", err, out)
	}
	return dir, nil
}
