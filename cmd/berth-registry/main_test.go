package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/test/fixture"
)

// stalling is a registry with an image whose only layer never comes to its
// end; begun is closed when somebody waits for it.
func stalling(t *testing.T) (host string, begun <-chan struct{}) {
	t.Helper()
	blobs := map[string][]byte{}
	put := func(text string) string {
		d := digest.FromString(text)
		blobs["/v2/app/blobs/"+d.String()] = []byte(text)
		return `"digest":"` + d.String() + `","size":` + strconv.Itoa(len(text))
	}
	layer := `"digest":"` + digest.FromString("layer").String() + `","size":100000`
	config := put(`{"os":"linux","architecture":"` + runtime.GOARCH + `","rootfs":{"type":"layers","diff_ids":["` + digest.FromString("x").String() + `"]}}`)
	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json",` + config + `},` +
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar",` + layer + `}]}`
	here := make(chan struct{}, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch text, ok := blobs[r.URL.Path]; {
		case strings.HasPrefix(r.URL.Path, "/v2/app/manifests/"):
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Docker-Content-Digest", digest.FromString(manifest).String())
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(manifest))
		case ok:
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
		default:
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(make([]byte, 1000))
			_ = http.NewResponseController(w).Flush()
			here <- struct{}{}
			<-r.Context().Done()
		}
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://"), here
}

// TestGivesUp: by whatever way it learns that nobody waits any more, the pull
// ends soon and leaves nothing.
func TestGivesUp(t *testing.T) {
	fixture.Root(t)
	exe := fixture.Binaries(t).Registry
	for _, tt := range []struct {
		name string
		how  func(p *os.Process, in, out io.Closer) error
		says string // "" when nobody is there to hear it
	}{
		{"SIGTERM", func(p *os.Process, _, _ io.Closer) error { return p.Signal(syscall.SIGTERM) }, "signal: terminated"},
		{"SIGINT", func(p *os.Process, _, _ io.Closer) error { return p.Signal(syscall.SIGINT) }, "signal: interrupt"},
		{"end of stdin", func(_ *os.Process, in, _ io.Closer) error { return in.Close() }, "the end of standard input"},
		{"nobody at either end", func(_ *os.Process, in, out io.Closer) error { return errors.Join(out.Close(), in.Close()) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host, begun := stalling(t)
			root := t.TempDir()
			cmd := exec.CommandContext(t.Context(), exe, "--root", root, "pull", host+"/app")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			select {
			case <-begun:
			case <-time.After(20 * time.Second):
				t.Fatal("the layer was never asked for")
			}
			if err := tt.how(cmd.Process, in, out); err != nil {
				t.Fatal(err)
			}
			if last := lastLine(out); tt.says != "" && !strings.Contains(last.Error.Text, tt.says) {
				t.Errorf("the last line is %+v, want an error with %q", last, tt.says)
			}
			_ = cmd.Wait()
			if cmd.ProcessState.ExitCode() != 1 || stderr.Len() > 0 {
				t.Errorf("%s, stderr %q", cmd.ProcessState, stderr.String())
			}
			empty(t, root)
		})
	}
}

type news struct{ Error struct{ Kind, Text string } }

func lastLine(r io.Reader) (l news) {
	for s := bufio.NewScanner(r); s.Scan(); {
		l = news{}
		_ = json.Unmarshal(s.Bytes(), &l)
	}
	return l
}

// empty fails for every file below root but whole blobs, the empty table and
// locks.
func empty(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		if err == nil && !e.IsDir() && !strings.HasSuffix(rel, "lock") && !strings.HasPrefix(rel, "blobs/sha256/") && rel != "images.json" {
			t.Errorf("left behind: %s", rel)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWords(t *testing.T) {
	root := t.TempDir()
	for _, tt := range []struct {
		words    []string
		code     int
		out, err string
	}{
		{[]string{"--help"}, 0, "USAGE", ""},
		{nil, 0, "USAGE", ""},
		{[]string{"--version"}, 0, "berth-registry version unknown", ""},
		{[]string{"push"}, 1, "", `no command "push"`},
		{[]string{"--nosuch"}, 1, "", "unknown flag: --nosuch"},
		{[]string{"decompress"}, 1, "", "0 words given, want one"},
		{[]string{"decompress", "xz"}, 1, "", `compression "xz": gzip, zstd and bzip2 are known`},
		{[]string{"pull"}, 1, "", "0 names given, want one"},
		{[]string{"pull", "--nosuch", "a"}, 1, "", "unknown flag: --nosuch"},
		{[]string{"--root", root, "pull", "--", "-a"}, 1, `"kind":"invalid","text":"invalid reference format`, ""},
		{[]string{"--root", root, "pull", "--platform", "a/b", "a"}, 1, `"kind":"not supported","text":"platform`, ""},
		{[]string{"--root", "a:b", "pull", "a"}, 1, "overlay cannot have", ""},
	} {
		var out, errs bytes.Buffer
		open, w := io.Pipe() // stdin that does not end
		code := run(append([]string{"berth-registry"}, tt.words...), open, &out, &errs)
		w.Close()
		if code != tt.code || !strings.Contains(out.String(), tt.out) || !strings.Contains(errs.String(), tt.err) {
			t.Errorf("%q: %d, %q, %q; want %d, %q, %q", tt.words, code, out.String(), errs.String(), tt.code, tt.out, tt.err)
		}
		if tt.err == "" && errs.Len() > 0 || tt.out == "" && out.Len() > 0 {
			t.Errorf("%q: unasked for: %q, %q", tt.words, out.String(), errs.String())
		}
	}
}
