package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/snapshot"
)

// tool skips the test when a foreign program that it needs is not installed.
func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// debianRegistry starts Debian's registry on a free loopback port.
func debianRegistry(t *testing.T) string {
	t.Helper()
	tool(t, "docker-registry")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	addr := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	must(writeFile(config, fmt.Appendf(nil, `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s/data}}
http: {addr: %s}
`, dir, addr)))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "docker-registry", "serve", config)
	must(cmd.Start())
	t.Cleanup(func() { cancel(); cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			resp.Body.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// umociImage makes a layout with an image of two layers by umoci and returns
// its directory.
func umociImage(t *testing.T) string {
	t.Helper()
	tool(t, "umoci")
	dir := filepath.Join(t.TempDir(), "layout")
	run(t, "umoci", "init", "--layout", dir)
	run(t, "umoci", "new", "--image", dir+":latest")
	run(t, "umoci", "config", "--image", dir+":latest", "--config.cmd", "/bin/true", "--config.env", "A=1")
	src := t.TempDir()
	must(os.MkdirAll(filepath.Join(src, "etc"), 0o755))
	must(writeFile(filepath.Join(src, "etc/name"), []byte("one")))
	run(t, "umoci", "insert", "--image", dir+":latest", filepath.Join(src, "etc"), "/etc")
	run(t, "umoci", "insert", "--image", dir+":latest", "--whiteout", "/etc/name")
	return dir
}

func TestWitnessRegistry(t *testing.T) {
	s, trees := newStore(t)
	tool(t, "skopeo")
	layout := umociImage(t)
	addr := debianRegistry(t)
	run(t, "skopeo", "copy", "--dest-tls-verify=false", "oci:"+layout+":latest", "docker://"+addr+"/team/app:oci")
	run(t, "skopeo", "copy", "--dest-tls-verify=false", "--format", "v2s2", "oci:"+layout+":latest", "docker://"+addr+"/team/app:docker")
	for _, tag := range []string{"oci", "docker"} {
		res, err := s.Pull(t.Context(), addr+"/team/app:"+tag, PullOptions{})
		if err != nil {
			t.Fatal(tag, err)
		}
		var says struct{ Digest digest.Digest }
		must(json.Unmarshal([]byte(run(t, "skopeo", "inspect", "--tls-verify=false", "docker://"+addr+"/team/app:"+tag)), &says))
		if says.Digest != res.Digest {
			t.Errorf("%s: digest %s, skopeo says %s", tag, res.Digest, says.Digest)
		}
		if d := cmp.Diff([]string{"/bin/true"}, res.Image.Config.Config.Cmd); d != "" {
			t.Error(d)
		}
		checkTree(t, trees, res.Image)
	}
	_, err := s.Pull(t.Context(), addr+"/team/app:nope", PullOptions{})
	if err == nil || !strings.Contains(err.Error(), "manifest unknown") {
		t.Errorf("got %v", err)
	}
	_, err = s.Pull(t.Context(), addr+"/team/nope", PullOptions{})
	if err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("got %v", err)
	}
}

func TestWitnessArchives(t *testing.T) {
	tool(t, "skopeo")
	layout := umociImage(t)
	dir := t.TempDir()
	docker, oci := filepath.Join(dir, "docker.tar"), filepath.Join(dir, "oci.tar")
	run(t, "skopeo", "copy", "oci:"+layout+":latest", "docker-archive:"+docker+":app:1")
	run(t, "skopeo", "copy", "oci:"+layout+":latest", "oci-archive:"+oci+":app:1")
	load := func(s *Store, path string) ([]Loaded, error) {
		f, err := os.Open(path)
		must(err)
		defer f.Close()
		return s.Load(t.Context(), f, LoadOptions{})
	}
	for _, tt := range []struct {
		name, ref string
		load      func(s *Store) ([]Loaded, error)
	}{
		{"docker archive", "docker.io/library/app:1", func(s *Store) ([]Loaded, error) { return load(s, docker) }},
		{"oci archive", "docker.io/library/app:1", func(s *Store) ([]Loaded, error) { return load(s, oci) }},
		{"layout", "", func(s *Store) ([]Loaded, error) { return s.LoadDir(t.Context(), layout, LoadOptions{}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, trees := newStore(t)
			list, err := tt.load(s)
			if err != nil || len(list) != 1 || list[0].Ref != tt.ref {
				t.Fatalf("%+v, %v", list, err)
			}
			checkTree(t, trees, list[0].Image)
			witnessSave(t, s, trees, list[0].Image)
		})
	}
}

// witnessSave lets skopeo read what we save, in both of its forms.
func witnessSave(t *testing.T, s *Store, _ *snapshot.Store, img Image) {
	t.Helper()
	must(s.Tag(img.ID.String(), "saved:1"))
	var out bytes.Buffer
	must(s.Save(t.Context(), &out, []string{"saved:1"}))
	dir := t.TempDir()
	tar := filepath.Join(dir, "saved.tar")
	must(writeFile(tar, out.Bytes()))
	for _, src := range []string{"docker-archive:" + tar + ":saved:1", "oci-archive:" + tar + ":1"} {
		config := run(t, "skopeo", "inspect", "--config", "--raw", src)
		if digest.FromString(config) != img.ID {
			t.Errorf("%s: skopeo reads another config", src)
		}
		to := filepath.Join(dir, "copy")
		run(t, "skopeo", "copy", src, "dir:"+to)
		os.RemoveAll(to)
	}
}
