package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/fixture"
	"github.com/berth-engine/berth/test/ledger"
)

// TestBadWords: flags and names that cannot be right.
func TestBadWords(t *testing.T) {
	e := newEngine(t)
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"an unknown flag", []string{"run", "--no-such-flag", "host"}, 125, "no-such-flag"},
		{"no image", []string{"run"}, 1, "image"},
		{"memory is a word", []string{"run", "--memory", "plenty", "host", "true"}, 125, "plenty"},
		{"memory is too little", []string{"run", "--memory", "1k", "host", "true"}, 125, "memory"},
		{"cpus below nothing", []string{"run", "--cpus", "-1", "host", "true"}, 125, "range of CPUs is from 0.01"},
		{"a name with a slash", []string{"run", "--name", "../x", "host", "true"}, 125, "../x"},
		{"a capability of no kernel", []string{"run", "--cap-add", "FLY", "host", "true"}, 125, "FLY"},
		{"a line break in the host name", []string{"run", "--hostname", "a\nb", "host", "true"}, 125, "host"},
		{"a reference in capitals", []string{"run", "Debian", "true"}, 125, "lowercase"},
		{"a network that is not there", []string{"run", "--network", "bridge0", "host", "true"}, 125, "bridge0"},
		{"a source of --mount that is not there", []string{"create", "--mount", "type=bind,source=/no/such,target=/mnt", "host", "true"}, 125, "bind source path does not exist: /no/such"},
		{"a program without a name", []string{"run", "host", ""}, 127, `exec: "": executable file not found in $PATH`},
		{"a server of names without a number", []string{"run", "--dns", "there", "host", "true"}, 125, `"there" is not an ip address`},
		{"a named volume", []string{"run", "-v", "data:/data", "host", "true"}, 125, "volume"},
		{"an empty security option", []string{"run", "--security-opt", "seccomp=", "host", "true"}, 125, "seccomp"},
		{"millions of processors", []string{"run", "--cpuset-cpus", "1-999999999999", "host", "true"}, 125, "cpuset"},
		{"detach keys", []string{"run", "-it", "--detach-keys", "ctrl-", "host", "true"}, 125, "detach"},
		{"--rm and --restart", []string{"run", "--rm", "--restart", "always", "host", "true"}, 125, "restart"},
		{"an image that is nowhere", []string{"run", "--pull", "never", "nowhere:1", "true"}, 125, "nowhere:1"},
		{"stop of nobody", []string{"stop", "nobody"}, 1, "nobody"},
		{"exec in nobody", []string{"exec", "nobody", "true"}, 1, "nobody"},
		{"a template that ends early", []string{"ps", "--format", "{{.ID"}, 1, "template"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := e.in(t).run(tt.args...)
			if r.code != tt.code {
				t.Errorf("exit code %d, want %d\n%s", r.code, tt.code, r)
			}
			if !strings.Contains(strings.ToLower(r.err), strings.ToLower(tt.says)) {
				t.Errorf("stderr does not speak of %q: %s", tt.says, r.err)
			}
			if strings.Contains(r.err, "goroutine ") {
				t.Errorf("a panic: %s", r.err)
			}
		})
	}
	if got := e.ok("ps", "-aq"); got != "" {
		t.Errorf("a refused command left containers: %s", got)
	}
}

// An exec that cannot be has docker's exit codes.
func TestUnfitExec(t *testing.T) {
	e := newEngine(t)
	e.ok("run", "-d", "--name", "fit", "host", "sleep", "600")
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-u", "nobody-of-that-name", "fit", "true"}, 126, "unable to find user"},
		{[]string{"-w", "relative", "fit", "true"}, 126, "needs to be an absolute path"},
		{[]string{"-w", "/no/such", "fit", "true"}, 127, "no such file or directory"},
		{[]string{"fit", ""}, 127, `exec: "": executable file not found in $PATH`},
		{[]string{"fit", "/etc/passwd"}, 126, "permission denied"},
	} {
		r := e.run(append([]string{"exec"}, tt.args...)...)
		if r.code != tt.code || !strings.Contains(r.err, tt.says) {
			t.Errorf("%q: want exit code %d and %q, got %s", tt.args, tt.code, tt.says, r)
		}
		oneLine(t, r)
	}
}

// entry is one entry of a hostile tar file.
type entry struct {
	tar.Header
	body string
}

func writeTar(t *testing.T, entries ...entry) string {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		e.Size = int64(len(e.body))
		if e.Mode == 0 {
			e.Mode = 0o755
		}
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return save(t, buf.Bytes())
}

func save(t *testing.T, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "input.tar")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// refused imports or loads a bad archive and checks that it is refused in one
// line and that the store is as it was.
func refused(t *testing.T, e *engine, says string, args ...string) {
	t.Helper()
	scope := ledger.Scope{Dirs: []string{e.root}, Shared: true}
	before := ledger.Take(scope)
	r := e.run(args...)
	if r.code == 0 {
		t.Errorf("berth %q is not refused", args)
	}
	oneLine(t, r)
	if !strings.Contains(strings.ToLower(r.err), says) {
		t.Errorf("stderr does not speak of %q: %s", says, r.err)
	}
	if left := ledger.Left(before, scope); len(left) > 0 {
		t.Errorf("left in the store:\n\t%s", strings.Join(left, "\n\t"))
	}
}

// TestBadArchives: what is imported or loaded is somebody else's work.
func TestBadArchives(t *testing.T) {
	outer := newEngine(t)
	outer.ok("import", fixture.BusyboxTar(t), "good:1")

	outside := filepath.Join(t.TempDir(), "outside")
	t.Run("a path goes up", func(t *testing.T) {
		e := outer.in(t)
		refused(t, e, "..", "import", writeTar(t, entry{tar.Header{Name: "../../" + outside}, "x"}), "bad:1")
	})
	t.Run("a link leads out", func(t *testing.T) {
		e := outer.in(t)
		dir := t.TempDir()
		file := writeTar(t,
			entry{tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: dir}, ""},
			entry{tar.Header{Name: "out/escaped"}, "x"})
		e.run("import", file, "bad:1") // either refused, or kept inside the root
		if _, err := os.Stat(filepath.Join(dir, "escaped")); err == nil {
			t.Fatal("the archive wrote through a link to the outside")
		}
	})
	t.Run("a hard link leads out", func(t *testing.T) {
		refused(t, outer.in(t), "link", "import",
			writeTar(t, entry{tar.Header{Name: "shadow", Typeflag: tar.TypeLink, Linkname: "../../../../etc/shadow"}, ""}), "bad:1")
	})
	t.Run("cut short", func(t *testing.T) {
		whole, err := os.ReadFile(fixture.BusyboxTar(t))
		if err != nil {
			t.Fatal(err)
		}
		half := save(t, whole[:len(whole)/2])
		refused(t, outer.in(t), "import "+strings.ToLower(half)+": ", "import", half, "bad:1")
		refused(t, outer.in(t), "cut off", "load", "-i", half)
	})
	t.Run("no tar at all", func(t *testing.T) {
		refused(t, outer.in(t), "not a tar archive", "load", "-i", save(t, []byte(strings.Repeat("not a tar file ", 100))))
	})
	t.Run("empty", func(t *testing.T) { refused(t, outer.in(t), "", "load", "-i", save(t, nil)) })
	t.Run("a bomb", func(t *testing.T) {
		// 4 GiB of zeros in 4 MB: stops at the ratio, not at the disk's end.
		var buf bytes.Buffer
		z, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(z)
		const size = 4 << 30
		if err := w.WriteHeader(&tar.Header{Name: "zeros", Mode: 0o600, Size: size}); err != nil {
			t.Fatal(err)
		}
		block := make([]byte, 1<<20)
		for range size / len(block) {
			if _, err := w.Write(block); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		refused(t, outer.in(t), "", "import", save(t, buf.Bytes()), "bad:1")
	})
	t.Run("a wrong digest", func(t *testing.T) {
		layout := ociLayout(t)
		spoil(t, layout)
		refused(t, outer.in(t), "", "load", "-i", tarOf(t, layout))
	})
	t.Run("a layer of an unknown kind", func(t *testing.T) {
		layout := ociLayout(t)
		changeMediaType(t, layout)
		refused(t, outer.in(t), "", "load", "-i", tarOf(t, layout))
	})
	t.Run("another machine's", func(t *testing.T) {
		img := fixture.Image{Layers: []string{fixture.BusyboxTar(t)}, Arch: "s390x", Cmd: []string{"sh"}}
		refused(t, outer.in(t), "s390x", "load", "-i", fixture.Archive(t, "foreign:1", img))
	})
	t.Run("the good one still works", func(t *testing.T) {
		if got := outer.in(t).ok("run", "--rm", "good:1", "echo", "aye"); got != "aye" {
			t.Errorf("got %q", got)
		}
	})
}

// ociLayout is a good image as an OCI layout, made by skopeo.
func ociLayout(t *testing.T) string {
	t.Helper()
	fixture.Need(t, "skopeo")
	archive := fixture.Archive(t, "box:1", fixture.Image{Layers: []string{fixture.BusyboxTar(t)}, Cmd: []string{"sh"}})
	dir := filepath.Join(t.TempDir(), "layout")
	out, err := exec.CommandContext(t.Context(), "skopeo", "--insecure-policy", "copy", "--quiet",
		"docker-archive:"+archive, "oci:"+dir+":box").CombinedOutput()
	if err != nil {
		t.Fatalf("skopeo: %v\n%s", err, out)
	}
	return dir
}

func tarOf(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "layout.tar")
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", dir, "-cf", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	return file
}

// blobs are the files of a layout, largest last.
func blobs(t *testing.T, layout string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(layout, "blobs/sha256/*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("blobs of the layout: %v %v", files, err)
	}
	return files
}

// spoil flips one bit of the layer.
func spoil(t *testing.T, layout string) {
	t.Helper()
	for _, f := range blobs(t, layout) {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) < 10_000 {
			continue
		}
		text[len(text)/2] ^= 1
		if err := os.WriteFile(f, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// changeMediaType makes the layer of a layout something that nobody knows,
// with all digests right.
func changeMediaType(t *testing.T, layout string) {
	t.Helper()
	index := readJSON(t, filepath.Join(layout, "index.json"))
	desc := index["manifests"].([]any)[0].(map[string]any)
	manifest := readJSON(t, blobPath(layout, desc["digest"].(string)))
	manifest["layers"].([]any)[0].(map[string]any)["mediaType"] = "application/vnd.example.fog"
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	digest := digestOf(text)
	if err := os.WriteFile(blobPath(layout, digest), text, 0o600); err != nil {
		t.Fatal(err)
	}
	desc["digest"], desc["size"] = digest, len(text)
	if text, err = json.Marshal(index); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(layout, "index.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBadPrograms: what the image asks to run cannot be.
func TestBadPrograms(t *testing.T) {
	outer := newEngine(t)
	layers := []string{fixture.BusyboxTar(t), writeTar(t,
		entry{tar.Header{Name: "crlf"}, "#!/bin/sh\r\necho hi\r\n"},
		entry{tar.Header{Name: "lost"}, "#!/no/interpreter\n"},
		entry{tar.Header{Name: "garbage"}, "\x7fELFgarbage"},
		entry{tar.Header{Name: "self"}, "#!/proc/self/exe\n"},
		entry{tar.Header{Name: "plain", Mode: 0o644}, "#!/bin/sh\n"})}
	outer.ok("load", "-i", fixture.Archive(t, "bad:1", fixture.Image{Layers: layers}))
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"carriage return", []string{"bad:1", "/crlf"}, 127, "carriage return"},
		{"no interpreter", []string{"bad:1", "/lost"}, 127, "/no/interpreter"},
		{"no program", []string{"bad:1", "/garbage"}, 126, "exec format"},
		{"our own program", []string{"bad:1", "/self"}, 126, "/proc/self/exe"},
		{"not executable", []string{"bad:1", "/plain"}, 126, "permission denied"},
		{"nothing to run", []string{"bad:1"}, 125, "command"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := outer.in(t).run(append([]string{"run", "--rm"}, tt.args...)...)
			if r.code != tt.code || !strings.Contains(strings.ToLower(r.err), tt.says) {
				t.Errorf("want exit code %d and %q, got %s", tt.code, tt.says, r)
			}
			oneLine(t, r)
		})
	}
}

// TestNotRoot: said in one line, and not with a stack of permission errors.
func TestNotRoot(t *testing.T) {
	fixture.Root(t)
	bin := fixture.Binaries(t)
	dir, err := os.MkdirTemp("/var/tmp", "berth-e2e.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	exe := filepath.Join(dir, "berth") // the cache of root cannot be read by others
	for _, name := range []string{"berth", "berth-oci"} {
		text, err := os.ReadFile(filepath.Join(bin.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "run", "--rm", "host", "true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Dir = "/"
	out, _ := cmd.CombinedOutput()
	r := result{code: cmd.ProcessState.ExitCode(), err: string(out)}
	if r.code != 125 || !strings.Contains(r.err, "root") {
		t.Errorf("want 125 and a word about root, got %s", r)
	}
	oneLine(t, r)
}

// TestFullAndReadOnlyDisk: an engine whose directory cannot take more.
func TestFullAndReadOnlyDisk(t *testing.T) {
	e := newEngine(t)
	if err := os.MkdirAll(e.root, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("small", e.root, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(e.root, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	big := fixture.BusyboxTar(t)
	r := e.run("import", big, "big:1")
	if r.code == 0 || !strings.Contains(r.err, "no space left") {
		t.Errorf("import on a full disk: %s", r)
	}
	oneLine(t, r)
	e.ok("run", "--rm", "host", "true") // there is room again

	// The monitor of the container that has just ended may still hold its log.
	eventually(t, "nobody writes to the file system", func() bool {
		return unix.Mount("", e.root, "", unix.MS_REMOUNT|unix.MS_RDONLY, "") == nil
	})
	r = e.run("run", "--rm", "host", "true")
	if r.code != 125 || !strings.Contains(r.err, "read-only") {
		t.Errorf("run on a read-only disk: %s", r)
	}
	oneLine(t, r)
	if r := e.run("ps", "-a"); r.code != 0 {
		t.Errorf("ps on a read-only disk: %s", r)
	}
}
