package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

const goarch = runtime.GOARCH

func writeFile(path string, text []byte) error { return os.WriteFile(path, text, 0o600) }

// archiveOf is what docker save of old writes: plain layers by path, one of
// them a link to the other where they are equal.
func archiveOf(m *made, tags ...string) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	entry := dockerEntry{Config: m.id().Encoded() + ".json", RepoTags: tags}
	put := func(name string, text []byte) {
		must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(text)), Mode: 0o644}))
		_, err := w.Write(text)
		must(err)
	}
	seen := map[digest.Digest]string{}
	for i, z := range m.layers {
		name := string(rune('a'+i)) + "/layer.tar"
		entry.Layers = append(entry.Layers, name)
		d := digest.FromBytes(z)
		if other, ok := seen[d]; ok {
			must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: "../" + other}))
			continue
		}
		seen[d] = name
		put(name, z)
		put(string(rune('a'+i))+"/VERSION", []byte("1.0"))
	}
	put(entry.Config, m.config)
	put("manifest.json", toJSON([]dockerEntry{entry}))
	must(w.Close())
	return buf.Bytes()
}

func TestLoadDocker(t *testing.T) {
	same := tarOf(file{"x", "x"})
	m := makeImage(goarch, same, tarOf(file{"y", "y"}), same)
	plain := archiveOf(m, "app:1", "docker.io/library/app:2")
	var z bytes.Buffer
	zw, err := zstd.NewWriter(&z)
	must(err)
	zw.Write(plain)
	zw.Close()
	for name, text := range map[string][]byte{"plain": plain, "gzip": zip(plain), "zstd": z.Bytes()} {
		t.Run(name, func(t *testing.T) {
			s, _ := newStore(t)
			list, err := s.Load(t.Context(), bytes.NewReader(text), LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var refs []string
			for _, l := range list {
				refs = append(refs, l.Ref)
			}
			if d := cmp.Diff([]string{"docker.io/library/app:1", "docker.io/library/app:2"}, refs); d != "" {
				t.Error(d)
			}
			img, err := s.Resolve("app:2")
			if err != nil || img.ID != m.id() || len(img.Layers) != 3 || img.Size != 3 {
				t.Errorf("got %+v, %v", img, err)
			}
			for _, p := range listing(t, s.root) {
				if strings.HasPrefix(p, "blobs/ingest") || strings.HasPrefix(p, "leases") {
					t.Errorf("left behind: %s", p)
				}
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	good := archiveOf(alpha(), "app:1")
	for _, tt := range []struct {
		name string
		text []byte
		kind error
		say  string
	}{
		{"no tar", []byte("hello world, this is not a tar archive at all"), fault.Invalid, "not a tar archive"},
		{"empty", nil, fault.Invalid, "neither manifest.json nor index.json"},
		{"cut off", good[:len(good)/2], fault.Damaged, ""},
		{"a root file system", tarOf(file{"etc/", ""}, file{"etc/passwd", "root:x"}), fault.Invalid, "berth import"},
		{"old docker", tarOf(file{"repositories", "{}"}), fault.Unsupported, "older than 1.10"},
		{"layer missing", tarOf(file{"c.json", "{}"}, file{"manifest.json", `[{"Config":"c.json","Layers":["../../etc/passwd"]}]`}), fault.NotFound, "missing from the archive"},
		{"bad name", tarOf(file{"c.json", "{}"}, file{"manifest.json", `[{"Config":"c.json","RepoTags":["UPPER:x"],"Layers":[]}]`}), fault.Invalid, "UPPER"},
		{"no images", tarOf(file{"manifest.json", `[]`}), fault.Invalid, "lists no images"},
		{"config is no JSON", tarOf(file{"c.json", "%"}, file{"manifest.json", `[{"Config":"c.json"}]`}), fault.Invalid, "not valid JSON"},
		{"other architecture", archiveOf(makeImage("s390x", tarOf(file{"a", "a"})), "app:1"), fault.Unsupported, "linux/s390x"},
		{"layout without its file", tarOf(file{"index.json", "{}"}), fault.Invalid, "oci-layout"},
		{"layout of the future", tarOf(file{"index.json", `{"schemaVersion":2,"manifests":[]}`}, file{"oci-layout", `{"imageLayoutVersion":"2.0.0"}`}), fault.Unsupported, "2.0.0"},
		{"blob missing", tarOf(file{"index.json", string(toJSON(ocispec.Index{Manifests: []ocispec.Descriptor{descOf(ocispec.MediaTypeImageManifest, []byte("x"))}}))}, file{"oci-layout", `{"imageLayoutVersion":"1.0.0"}`}), fault.Unsupported, "schema version 0"},
		{"layer is no tar", archiveOf(makeImage(goarch, bytes.Repeat([]byte("no tar"), 1000)), "a:1"), nil, "layer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, trees := newStore(t)
			_, err := s.Load(t.Context(), bytes.NewReader(tt.text), LoadOptions{})
			if err == nil || (tt.kind != nil && !errors.Is(err, tt.kind)) || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("got %v (%v), want %v with %q", err, fault.KindOf(err), tt.kind, tt.say)
			}
			checkEmpty(t, s, trees)
			if left, _ := s.blobs.Digests(); len(left) != 0 {
				t.Errorf("blobs left: %v", left)
			}
		})
	}
}

func TestSaveLoadRoundTrip(t *testing.T) {
	s, _ := newStore(t)
	m, n := alpha(), makeImage(goarch, tarOf(file{"z", "z"}))
	for tag, m := range map[string]*made{"app:1": m, "other:1": n} {
		if _, err := s.Load(t.Context(), bytes.NewReader(archiveOf(m, tag)), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	must(s.Tag("app:1", "app:2"))
	var one, two bytes.Buffer
	must(s.Save(t.Context(), &one, []string{"app", "other:1"}))
	must(s.Save(t.Context(), &two, []string{"other:1", "app:2", "app:1"}))
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two archives of the same images differ")
	}
	fresh, _ := newStore(t)
	list, err := fresh.Load(t.Context(), &one, LoadOptions{})
	if err != nil || len(list) != 3 {
		t.Fatalf("%d images, %v", len(list), err)
	}
	a, err := s.Resolve("app:2")
	must(err)
	b, err := fresh.Resolve("app:2")
	must(err)
	if d := cmp.Diff(a, b); d != "" {
		t.Error(d)
	}
	var three bytes.Buffer
	must(fresh.Save(t.Context(), &three, []string{"app", "other"}))
	if !bytes.Equal(two.Bytes(), three.Bytes()) {
		t.Error("saving what was loaded gives other bytes")
	}
	must(s.Save(t.Context(), io.Discard, []string{string(a.ID)}))
	if err := s.Save(t.Context(), io.Discard, []string{"nothing"}); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

func TestLoadDirHoldsFIFO(t *testing.T) {
	s, _ := newStore(t)
	dir := t.TempDir()
	must(mkfifo(filepath.Join(dir, "index.json")))
	_, err := s.LoadDir(t.Context(), dir, LoadOptions{})
	if !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v, want invalid", err)
	}
}

func TestImport(t *testing.T) {
	s, _ := newStore(t)
	rootfs := tarOf(file{"bin/", ""}, file{"bin/sh", "#!"})
	o := ImportOptions{
		Message: "hello",
		Changes: []string{`CMD ["/bin/sh","-c","true"]`, "ENV A=1 B=\"two words\"", "ENV PATH /bin", "EXPOSE 80 53/udp", "WORKDIR /srv", "WORKDIR sub", "USER 7:8", "VOLUME /data", "LABEL a.b='c d'", "ONBUILD RUN true", "ENTRYPOINT exec top"},
	}
	for name, text := range map[string][]byte{"plain": rootfs, "gzip": zip(rootfs)} {
		img, err := s.Import(t.Context(), bytes.NewReader(text), "root:"+name, o)
		if err != nil {
			t.Fatal(name, err)
		}
		want := ocispec.ImageConfig{
			Cmd: []string{"/bin/sh", "-c", "true"}, Env: []string{"A=1", "B=two words", "PATH=/bin"},
			ExposedPorts: map[string]struct{}{"80/tcp": {}, "53/udp": {}}, WorkingDir: "/srv/sub", User: "7:8",
			Volumes: map[string]struct{}{"/data": {}}, Labels: map[string]string{"a.b": "c d"},
			Entrypoint: []string{"/bin/sh", "-c", "exec top"},
		}
		if d := cmp.Diff(want, img.Config.Config); d != "" {
			t.Error(d)
		}
		if img.Config.RootFS.DiffIDs[0] != digest.FromBytes(rootfs) || img.Layers[0].Digest != digest.FromBytes(text) {
			t.Errorf("%s: layer %v, diff ID %v", name, img.Layers, img.Config.RootFS)
		}
		raw, err := s.ConfigBytes(img)
		must(err)
		var full struct {
			Config  struct{ OnBuild []string }
			History []struct{ Comment string }
		}
		must(json.Unmarshal(raw, &full))
		if !slices.Equal(full.Config.OnBuild, []string{"RUN true"}) || full.History[0].Comment != "hello" {
			t.Errorf("config %s", raw)
		}
	}
	if _, err := s.Import(t.Context(), strings.NewReader("no tar"), "", ImportOptions{}); err == nil {
		t.Error("imported what is no tar")
	}
}

func TestChangesRefuse(t *testing.T) {
	for _, line := range []string{"RUN true", "ENV", "ENV A", "ENV =x", "EXPOSE 0", "EXPOSE 70000", "EXPOSE 9-1", "EXPOSE 80/icmp", `LABEL a="b`, "ONBUILD FROM x", "USER", "CMD a\nUSER b", ""} {
		var c dockerConfigPart
		if err := applyChanges(&c, []string{line}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: got %v, want invalid", line, err)
		}
	}
}
