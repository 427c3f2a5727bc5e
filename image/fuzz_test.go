package image

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	docker "github.com/distribution/reference"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/layer/codec"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/snapshot"
)

// FuzzReference: the same names are accepted, and mean the same, as with
// docker's own parser; printing and parsing are inverse.
func FuzzReference(f *testing.F) {
	sum := "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, s := range []string{
		"alpine", "a.b:5000/c/d:e", "x" + sum, "x:1" + sum, "host", "localhost/x", "[::1]:5000/a", "A", "a//b", "a:b:c",
		"index.docker.io/a", "docker.io/library/b/c", "Host/a", "a__b/c---d.e", "a_.b", "-a/b", "a-.b/c", "x@sha512:00", "a:" + strings.Repeat("t", 129),
		strings.Repeat("a", 256), strings.Repeat("a", 64), "a:5/b", "a.b:/c", "a@", "a:", "é/a", "[::1/a", "docker.io/a:1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ours, err := parseReference(s)
		theirs, terr := docker.ParseNormalizedNamed(s)
		if (err == nil) != (terr == nil) {
			if !knownDifference(s) {
				t.Fatalf("%q: we say %v, docker says %v", s, err, terr)
			}
			return
		}
		if err != nil {
			return
		}
		if ours.String() != theirs.String() || ours.familiar() != docker.FamiliarString(theirs) || ours.name() != theirs.Name() {
			t.Errorf("%q is %q, %q; docker says %q, %q", s, ours, ours.familiar(), theirs, docker.FamiliarString(theirs))
		}
		if again, err := parseReference(ours.String()); err != nil || again != ours {
			t.Errorf("%q does not survive printing: %v, %v", s, again, err)
		}
	})
}

// knownDifference: docker takes any hexadecimal digits and colons for an IPv6
// address, and sha384 digests that our store has no place for.
func knownDifference(s string) bool {
	return strings.HasPrefix(s, "[") || strings.Contains(s, "@sha384:")
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
		s := &Store{root: root, blobs: blob.Open(root), trees: noTrees{root}, codec: codec.Decode, apply: drain}
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
