package bundle

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image/ocispec"
)

var update = flag.Bool("update", false, "rewrite the spec parts of testdata")

// Each file of testdata has a request, an image, a host and the spec that they
// give. Missing input parts are empty; the host has an id and a profile anyway.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r container.Request
	var img ocispec.Image
	h := testHost()
	want := -1
	for i, part := range ar.Files {
		to, ok := map[string]any{"request": &r, "image": &img, "host": &h}[part.Name]
		if part.Name == "spec" {
			want = i
			continue
		}
		if !ok {
			t.Fatalf("part %q", part.Name)
		}
		dec := json.NewDecoder(bytes.NewReader(part.Data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(to); err != nil {
			t.Fatalf("part %s: %v", part.Name, err)
		}
	}
	spec, err := Spec(&r, &img, h)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(spec, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if want < 0 {
			want = len(ar.Files)
			ar.Files = append(ar.Files, txtar.File{Name: "spec"})
		}
		ar.Files[want].Data = got
		if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want < 0 {
		t.Fatal("no spec yet: run with -update and read it")
	}
	if d := cmp.Diff(string(ar.Files[want].Data), string(got)); d != "" {
		t.Error(d)
	}
}
