package engine

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/test/fixture"
	"github.com/berth-engine/berth/test/ledger"
)

// testEngine is an engine in directories of its own with the real runtime.
func testEngine(t *testing.T, fail func(string) error) (*Engine, Config) {
	t.Helper()
	fixture.Root(t)
	bin := fixture.Binaries(t)
	dir := t.TempDir()
	cfg := Config{
		Root: filepath.Join(dir, "lib"), State: filepath.Join(dir, "run"),
		Runtime: bin.OCI, Self: bin.Berth, Fail: fail,
	}
	e, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e, cfg
}

// things lists what containers may leave in the directories of an engine.
func things(t *testing.T, cfg Config) []string {
	t.Helper()
	var list []string
	for _, dir := range []string{"lib/containers", "lib/names", "lib/snapshots/keys", "run/containers", "run/oci"} {
		entries, err := os.ReadDir(filepath.Join(filepath.Dir(cfg.Root), dir))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".") {
				list = append(list, dir+"/"+e.Name())
			}
		}
	}
	return list
}

// steps records the names of the steps that a run goes through.
func steps(t *testing.T) []string {
	var names []string
	e, cfg := testEngine(t, func(step string) error { names = append(names, step); return nil })
	_, err := e.Containers.Run(t.Context(), runRequest(cfg))
	if err != nil {
		t.Fatal(err)
	}
	if left := things(t, cfg); left != nil {
		t.Fatalf("a run with --rm leaves %q", left)
	}
	return names
}

func runRequest(cfg Config) RunRequest {
	return RunRequest{Request: container.Request{
		Name: "victim", Image: "host", Args: []string{"true"}, Remove: true,
		CIDFile: filepath.Join(filepath.Dir(cfg.Root), "cid"),
	}}
}

// Every step of a run fails in turn; whatever it is, nothing is left, and the
// name is free for the next.
func TestRunFailAtStep(t *testing.T) {
	all := steps(t)
	if len(all) < 8 {
		t.Fatalf("only %d steps: %q", len(all), all)
	}
	boom := errors.New("made to fail")
	for n, name := range all {
		if strings.HasPrefix(name, "remove ") {
			continue // a removal that fails is repeated: TestRemoveFailAtStep
		}
		t.Run(name, func(t *testing.T) {
			count := 0
			e, cfg := testEngine(t, func(string) error {
				if count++; count == n+1 {
					return boom
				}
				return nil
			})
			ledger.Check(t, ledger.Scope{Marks: []string{cfg.Root, cfg.State}})
			if _, err := e.Containers.Run(t.Context(), runRequest(cfg)); !errors.Is(err, boom) {
				t.Fatalf("error %v, want the one of step %s", err, name)
			}
			if left := things(t, cfg); left != nil {
				t.Errorf("left behind: %q", left)
			}
			if _, err := e.Containers.Find("victim"); !errors.Is(err, fault.NotFound) {
				t.Errorf("the name is still taken: %v", err)
			}
		})
	}
}

// A removal that fails at any step can be repeated.
func TestRemoveFailAtStep(t *testing.T) {
	boom := errors.New("made to fail")
	for _, step := range []string{"remove run directory", "remove snapshot", "remove record"} {
		t.Run(step, func(t *testing.T) {
			armed := false
			e, cfg := testEngine(t, func(s string) error {
				if armed && s == step {
					return boom
				}
				return nil
			})
			q := runRequest(cfg)
			q.Request.Remove = false
			if _, err := e.Containers.Run(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			armed = true
			if err := e.Containers.Remove(t.Context(), RemoveRequest{Name: "victim"}); !errors.Is(err, boom) {
				t.Fatalf("error %v", err)
			}
			armed = false
			if err := e.Containers.Remove(t.Context(), RemoveRequest{Name: "victim"}); err != nil {
				t.Fatalf("second try: %v", err)
			}
			if left := things(t, cfg); left != nil {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// A creator that dies after any step leaves something that ps shows and rm
// removes. It dies for real: the test runs itself and is killed at the step.
func TestCreateDies(t *testing.T) {
	if step := os.Getenv("BERTH_TEST_DIE"); step != "" {
		e, err := Open(Config{Root: os.Getenv("BERTH_ROOT"), State: os.Getenv("BERTH_STATE"), Fail: func(s string) error {
			if s == step {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Containers.Create(t.Context(), CreateRequest{Request: container.Request{Name: "victim", Image: "host", Args: []string{"true"}}})
		t.Fatalf("lived on: %v", err)
	}
	for _, step := range []string{"record", "snapshot", "plan", "bundle", "monitor config", "cidfile"} {
		t.Run(step, func(t *testing.T) {
			e, cfg := testEngine(t, nil)
			cmd := exec.Command(os.Args[0], "-test.run=^TestCreateDies$")
			cmd.Env = append(os.Environ(), "BERTH_TEST_DIE="+step, "BERTH_ROOT="+cfg.Root, "BERTH_STATE="+cfg.State)
			if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("the creator was not killed: %v\n%s", err, out)
			}
			items, err := e.Containers.List(t.Context(), ListRequest{All: true})
			if err != nil {
				t.Fatal(err)
			}
			if want := step != "record"; (len(items) == 1) != want {
				t.Errorf("%d containers", len(items))
			}
			for _, it := range items {
				if it.Status.State != container.Created {
					t.Errorf("%s is %s", it.Name, it.Status.State)
				}
				if err := e.Containers.Start(t.Context(), it.Name); step != "cidfile" && !errors.Is(err, fault.Damaged) {
					t.Errorf("start: %v, want a word about the interrupted creation", err)
				}
				if err := e.Containers.Remove(t.Context(), RemoveRequest{Name: it.ID, Force: true}); err != nil {
					t.Errorf("rm: %v", err)
				}
			}
			if left := things(t, cfg); left != nil {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestCreateRefuses(t *testing.T) {
	e, cfg := testEngine(t, nil)
	taken := filepath.Join(t.TempDir(), "cid")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		r    container.Request
		kind fault.Kind
	}{
		{"name", container.Request{Image: "host", Name: "a/b", Args: []string{"true"}}, fault.Invalid},
		{"rm and restart", container.Request{Image: "host", Args: []string{"true"}, Remove: true, Restart: container.RestartPolicy{Name: "always"}}, fault.Invalid},
		{"cidfile there", container.Request{Image: "host", Args: []string{"true"}, CIDFile: taken}, fault.Conflict},
		{"no command", container.Request{Image: "host", Entrypoint: []string{}}, fault.Invalid},
		{"rootfs missing", container.Request{Rootfs: "/no/such/dir", Args: []string{"true"}}, fault.NotFound},
		{"joins nobody", container.Request{Image: "host", Args: []string{"true"}, Network: "container:nobody"}, fault.NotFound},
		{"no such user", container.Request{Image: "host", Args: []string{"true"}, User: "nosuchuser"}, fault.Invalid},
		{"no such device", container.Request{Image: "host", Args: []string{"true"}, Devices: []container.Device{{Host: "/dev/nosuch", Container: "/dev/x", Perms: "r"}}}, fault.Invalid},
	} {
		_, err := e.Containers.Create(t.Context(), CreateRequest{Request: tt.r})
		if !errors.Is(err, tt.kind) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.kind)
		}
	}
	if left := things(t, cfg); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestWantedStepsAreDistinct(t *testing.T) {
	all := steps(t)
	slices.Sort(all)
	if d := slices.Compact(slices.Clone(all)); len(d) != len(all) {
		t.Errorf("two steps have one name: %q", all)
	}
}
