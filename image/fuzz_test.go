package image

import (
	"bytes"
	"context"
	"io"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/snapshot"
)

// FuzzReference: parse and print are inverse, and what is accepted for an
// image never looks like one of our own names or leaves the grammar.
func FuzzReference(f *testing.F) {
	for _, s := range []string{"alpine", "a.b:5000/c/d:e", "x@sha256:" + "00", "host", "localhost/x", "[::1]:5000/a", "A", "a//b", "a:b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		named, err := parseTag(s)
		if err != nil {
			return
		}
		full := named.String()
		again, err := parseTag(full)
		if err != nil || again.String() != full {
			t.Errorf("%q is %q is %v (%v)", s, full, again, err)
		}
		if short, err := parseTag(Familiar(full)); Familiar(full) != HostName && (err != nil || short.String() != full) {
			t.Errorf("%q is short for %v, not %q", Familiar(full), short, full)
		}
		if isDigestRef(full) || repoOf(full) != named.Name() {
			t.Errorf("%q: repository %q", full, repoOf(full))
		}
	})
}

// FuzzManifest: what is accepted has exactly one shape and only descriptors
// that may be used as they are.
func FuzzManifest(f *testing.F) {
	m := alpha()
	f.Add(ocispec.MediaTypeImageManifest, m.manifest)
	f.Add(ocispec.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"platform":{"os":"linux","architecture":"arm","variant":"v6"}}]}`))
	f.Add(blob.DockerManifest, []byte(`{"schemaVersion":2,"config":{"mediaType":"x","size":-1},"layers":null}`))
	f.Add(dockerSchema1, []byte(`{}`))
	f.Fuzz(func(t *testing.T, mediaType string, body []byte) {
		doc, err := parseDocument(mediaType, body)
		if err != nil {
			return
		}
		if (doc.Config == nil) == (doc.Manifests == nil) {
			t.Fatal("neither or both shapes")
		}
		for _, d := range append(doc.Layers, doc.Manifests...) {
			if d.Size < 0 || blob.Check(d.Digest) != nil {
				t.Errorf("descriptor %+v", d)
			}
		}
		if again, err := parseDocument(mediaType, toJSON(doc)); err != nil || len(again.Layers) != len(doc.Layers) {
			t.Errorf("not the same after printing: %v", err)
		}
		if doc.Manifests != nil {
			_, _ = pick(ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, doc.Manifests)
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add(alpha().config, 2)
	f.Add([]byte(`{"rootfs":{"type":"layers","diff_ids":["sha256:zz"]}}`), 1)
	f.Fuzz(func(t *testing.T, body []byte, layers int) {
		c, err := parseConfig(body, layers)
		if err != nil {
			return
		}
		for _, n := range chainOf(c.RootFS.DiffIDs) {
			if len(n) != 64 {
				t.Errorf("chain %q", n)
			}
		}
	})
}

func FuzzChanges(f *testing.F) {
	f.Add(`ENV a="b c" d=e`)
	f.Add(`LABEL a\ b=c 'd'=`)
	f.Add(`EXPOSE 1-65535/udp`)
	f.Add(`CMD ["a"`)
	f.Fuzz(func(_ *testing.T, line string) {
		var c dockerConfigPart
		_ = applyChanges(&c, []string{line})
	})
}

// noTrees is a snapshot room that takes everything and keeps nothing.
type noTrees struct{ dir string }

type noStage struct{ dir string }

func (n noTrees) Exists(snapshot.Name) bool               { return false }
func (n noTrees) Stage(_, _ snapshot.Name) (stage, error) { return noStage(n), nil }
func (n noTrees) Commit([]stage) error                    { return nil }
func (n noTrees) RemoveName(snapshot.Name) error          { return nil }
func (n noTrees) Names() ([]snapshot.Name, error)         { return nil, nil }
func (n noStage) Dir() string                             { return n.dir }
func (n noStage) Abort() error                            { return nil }
func drain(_ context.Context, _ string, r io.Reader, _ int64) (int64, error) {
	return io.Copy(io.Discard, r)
}

// FuzzLoad: an archive is loaded whole or not at all, and nothing is left.
func FuzzLoad(f *testing.F) {
	m := alpha()
	f.Add(archiveOf(m, "app:1"))
	f.Add(zip(archiveOf(m)))
	f.Add(tarOf(file{"index.json", `{"schemaVersion":2,"manifests":[]}`}, file{"oci-layout", `{"imageLayoutVersion":"1.0.0"}`}))
	f.Add(tarOf(file{"manifest.json", `[{"Config":"manifest.json","Layers":["manifest.json"],"RepoTags":["a:b"]}]`}))
	f.Fuzz(func(t *testing.T, text []byte) {
		root := t.TempDir()
		s := &Store{root: root, blobs: blob.Open(root), trees: noTrees{root}, apply: drain}
		list, err := s.Load(t.Context(), bytes.NewReader(text), LoadOptions{})
		all, lerr := s.List()
		if lerr != nil {
			t.Fatal(lerr)
		}
		if err != nil && len(list) == 0 {
			checkNothing(t, s)
			return
		}
		if len(all) == 0 {
			t.Errorf("loaded %d, listed none", len(list))
		}
		for _, img := range all {
			if err := s.Save(t.Context(), io.Discard, []string{img.ID.String()}); err != nil {
				t.Errorf("loaded what cannot be saved: %v", err)
			}
		}
	})
}

func checkNothing(t *testing.T, s *Store) {
	t.Helper()
	if left := listing(t, s.root); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
