package apart

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/fixture"
)

// outer are the namespaces of the process that go test has started.
const outer = "BERTH_APART_TEST"

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		os.Exit(m.Run()) // the tests say why they skip
	}
	if !Inside() {
		os.Setenv(outer, strings.Join(namespaces(), " "))
	}
	code, err := Run(Options{Dir: os.TempDir(), Groups: true}, func(scratch string) int {
		os.Setenv("BERTH_APART_SCRATCH", scratch)
		return m.Run()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func namespaces() []string {
	var out []string
	for _, ns := range []string{"mnt", "net", "pid"} {
		link, err := os.Readlink("/proc/self/ns/" + ns)
		if err != nil {
			panic(err) // proc is not mounted: nothing works
		}
		out = append(out, link)
	}
	return out
}

func TestRunIsApart(t *testing.T) {
	fixture.Root(t)
	before := strings.Fields(os.Getenv(outer))
	for i, now := range namespaces() {
		if now == before[i] {
			t.Errorf("still in %s", now)
		}
	}
	if Inside() {
		t.Error("the variable would reach what we start")
	}
	if unix.Getppid() != 1 {
		t.Errorf("parent %d is no init of ours", unix.Getppid())
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("loopback: %v", err)
	}
	l.Close()
}

// TestGroups: the own group is the root of all, and it is no other's.
func TestGroups(t *testing.T) {
	fixture.Root(t)
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if f[2] != "/" && f[2] != "/init" {
			t.Errorf("%q is not at its root", line)
		}
	}
	tops, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	for _, top := range tops {
		if entries, err := filepath.Glob(top + "/*/cgroup.procs"); err != nil || len(entries) > 1 {
			t.Errorf("%s has groups of others: %q %v", top, entries, err)
		}
	}
}

// TestRemoveGroups: what is below Group goes, whatever the hierarchy.
func TestRemoveGroups(t *testing.T) {
	fixture.Root(t)
	name := filepath.Base(Group(os.Getenv("BERTH_APART_SCRATCH")))
	tops, err := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	if err != nil || len(tops) == 0 {
		t.Skip("no hierarchies of cgroup v1 are mounted")
	}
	var made []string
	for _, top := range tops {
		dir := filepath.Join(filepath.Dir(top), name, "a/b")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		made = append(made, dir)
	}
	if err := removeGroups(name); err != nil {
		t.Fatal(err)
	}
	for _, dir := range made {
		if _, err := os.Stat(filepath.Dir(filepath.Dir(dir))); err == nil {
			t.Errorf("%s is still there", dir)
		}
	}
}

// What is done to /dev/null inside is not done to the machine's.
func TestOwnNull(t *testing.T) {
	if !Inside() && os.Getenv(outer) == "" {
		t.Skip("namespaces need root")
	}
	var inside, scratch unix.Stat_t
	if err := unix.Stat("/dev/null", &inside); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(filepath.Join(os.Getenv("BERTH_APART_SCRATCH"), "null"), &scratch); err != nil {
		t.Fatal(err)
	}
	if inside.Ino != scratch.Ino || inside.Dev != scratch.Dev {
		t.Error("/dev/null is the machine's")
	}
}
