package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-engine/berth/test/fixture"
	"github.com/berth-engine/berth/test/ledger"
)

// pushed is a registry with an image of busybox under app:1.
func pushed(t *testing.T) (app string) {
	t.Helper()
	fixture.Need(t, "busybox")
	app = fixture.Registry(t) + "/app"
	archive := fixture.Archive(t, "app:1", fixture.Image{Layers: []string{fixture.BusyboxTar(t)}, Cmd: []string{"/bin/busybox", "true"}})
	fixture.Push(t, "docker-archive:"+archive, app+":1")
	return app
}

// TestPullOfARun: run fetches what is missing, tells it on stderr unless it is
// to be quiet, and leaves stdout to the payload.
func TestPullOfARun(t *testing.T) {
	e := newEngine(t)
	app := pushed(t)
	r := e.run("run", "--rm", app+":1", "/bin/busybox", "echo", "hello")
	if r.code != 0 || r.out != "hello" {
		t.Fatalf("run: %s", r)
	}
	if first := "Unable to find image '" + app + ":1' locally\n"; !strings.HasPrefix(r.err, first) {
		t.Errorf("stderr does not begin with %q: %s", first, r)
	}
	for _, news := range []string{"1: Pulling from app\n", ": Pull complete\n", "Digest: sha256:", "Status: Downloaded newer image for " + app + ":1\n"} {
		if !strings.Contains(r.err, news) {
			t.Errorf("stderr has no %q: %s", news, r)
		}
	}
	again := e.run("run", "--rm", "--quiet", "--pull", "always", app+":1", "/bin/busybox", "echo", "hello")
	if again.code != 0 || again.err != "" {
		t.Errorf("a quiet one: %s", again)
	}
	if r := e.run("pull", "-q", app+":1"); r.code != 0 || r.out != app+":1" || r.err != "" {
		t.Errorf("pull -q: %s", r)
	}
	if r := e.run("pull", app+":1"); r.code != 0 || !strings.HasSuffix(r.out, "Status: Image is up to date for "+app+":1\n"+app+":1") || r.err != "" {
		t.Errorf("pull again: %s", r)
	}
	if r := e.run("pull", app); r.code != 1 || r.out != "Using default tag: latest" || !strings.Contains(r.err, app+":latest not found") {
		t.Errorf("pull without a tag: %s", r)
	}
}

// TestPullErrors: one line, with docker's exit codes, whoever it was that
// found out.
func TestPullErrors(t *testing.T) {
	e := newEngine(t)
	app := pushed(t)
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"pull of a missing tag", []string{"pull", app + ":2"}, 1, "berth: manifest for " + app + ":2 not found: manifest unknown"},
		{"run of a missing tag", []string{"run", "--rm", app + ":2", "true"}, 125, "berth: manifest for " + app + ":2 not found: manifest unknown"},
		{"create of a missing repository", []string{"create", app + "/nope"}, 125, "app/nope"},
		{"other platform", []string{"pull", "--platform", "linux/s390x", app + ":1"}, 1, "wanted is linux/s390x"},
		{"no reference", []string{"pull", "A"}, 1, "invalid reference format"},
		{"host", []string{"pull", "host"}, 1, "cannot be pulled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := e.in(t).run(tt.args...)
			if r.code != tt.code || !strings.Contains(r.err, tt.says) || strings.Contains(r.out, "Digest:") {
				t.Errorf("want exit code %d and %q, got %s", tt.code, tt.says, r)
			}
			oneLine(t, r)
		})
	}
	if got := e.ok("images", "-q"); got != "" {
		t.Errorf("images: %q", got)
	}
}

// TestNoRegistryProgram: everything but pulls works without berth-registry.
func TestNoRegistryProgram(t *testing.T) {
	e := newEngine(t)
	dir := t.TempDir()
	alone := filepath.Join(dir, "berth")
	for from, to := range map[string]string{e.bin.Berth: alone, e.bin.OCI: filepath.Join(dir, "berth-oci")} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	e = e.in(t) // the first one, which clears up, keeps its programs
	e.bin.Berth, e.env = alone, []string{"PATH=/usr/bin:/bin"}
	e.ok("run", "--rm", "host", "true")
	packed := filepath.Join(dir, "packed.tar.gz")
	if err := os.WriteFile(packed, []byte("\x1f\x8b\x08"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"pull", "127.0.0.1:1/a"}, {"run", "--rm", "127.0.0.1:1/a"}, {"load", "-i", packed}, {"import", packed}} {
		r := e.run(args...)
		want := "berth-registry, which pulls and decompresses, is neither beside berth nor in PATH; install it or set BERTH_REGISTRY\n"
		if r.code == 0 || !strings.HasPrefix(r.err, "berth: ") || !strings.HasSuffix(r.err, want) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%q: %s", args, r)
		}
	}
	e.env = append(e.env, "BERTH_REGISTRY="+e.bin.Registry)
	if r := e.run("pull", "127.0.0.1:1/a"); !strings.Contains(r.err, "cannot reach registry 127.0.0.1:1") {
		t.Errorf("with BERTH_REGISTRY: %s", r)
	}
}

// TestPullerDiesWithItsClient: berth is killed in the middle of a pull.
func TestPullerDiesWithItsClient(t *testing.T) {
	e := newEngine(t)
	asked := make(chan struct{}, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer srv.Close()
	cmd := e.command(t.Context(), "pull", strings.TrimPrefix(srv.URL, "http://")+"/app")
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-asked:
	case <-time.After(20 * time.Second):
		t.Error("the registry was never asked")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "berth-registry has gone", func() bool {
		return len(ledger.Left(nil, ledger.Scope{Marks: []string{e.root}, Shared: true})) == 0
	})
}
