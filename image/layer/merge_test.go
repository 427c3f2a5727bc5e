package layer_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/image/layer"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/snapshot"
	"github.com/berth-engine/berth/snapshot/overlay"
	"github.com/berth-engine/berth/snapshot/plain"
)

// change is one entry of a random layer.
type change struct {
	kind byte // 'd'irectory, 'f'ile, 'w'hiteout, 'o'paque
	path string
}

// model is what a stack of layers should show: path → "dir" or a file's text.
type model map[string]string

// apply is the meaning of a layer: first all deletions, then all entries.
func (m model) apply(text string, layer []change) {
	for _, c := range layer {
		switch c.kind {
		case 'w':
			m.remove(c.path, true)
		case 'o':
			m.remove(c.path, false)
		}
	}
	for _, c := range layer {
		for dir := path.Dir(c.path); dir != "."; dir = path.Dir(dir) {
			m.directory(dir)
		}
		switch c.kind {
		case 'd', 'o':
			m.directory(c.path)
		case 'f':
			m.remove(c.path, true)
			m[c.path] = text
		}
	}
}

// pointless is a whiteout in a directory that no layer below has. Overlay
// lists it as a name that cannot be opened, and there is no way around it:
// when a layer is unpacked those below it need not be there yet.
func (m model) pointless(c change) bool {
	dir := path.Dir(c.path)
	return c.kind == 'w' && dir != "." && m[dir] != "dir"
}

func (m model) directory(p string) {
	if m[p] != "dir" {
		m[p] = "dir"
	}
}

func (m model) remove(p string, self bool) {
	for q := range m {
		if strings.HasPrefix(q, p+"/") || self && q == p {
			delete(m, q)
		}
	}
}

func (m model) String() string {
	var out []string
	for p, v := range m {
		out = append(out, p+" "+v)
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// random makes a layer in which no name is used as file and as directory.
func random(r *rand.Rand) []change {
	kinds := map[string]byte{}
	var out []change
	for range 1 + r.IntN(8) {
		parts := make([]string, 1+r.IntN(3))
		for i := range parts {
			parts[i] = string(rune('a' + r.IntN(3)))
		}
		c := change{"dffwwo"[r.IntN(6)], strings.Join(parts, "/")}
		if fits(kinds, c) {
			out = append(out, c)
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// fits reports whether c makes sense besides what is in kinds, and adds it.
func fits(kinds map[string]byte, c change) bool {
	own := c.kind
	if own == 'o' {
		own = 'd'
	}
	if own != 'w' && kinds[c.path] != 0 && kinds[c.path] != own {
		return false
	}
	for dir := path.Dir(c.path); dir != "."; dir = path.Dir(dir) {
		if kinds[dir] == 'f' {
			return false
		}
	}
	for dir := path.Dir(c.path); dir != "."; dir = path.Dir(dir) {
		kinds[dir] = 'd'
	}
	if own != 'w' {
		kinds[c.path] = own
	}
	return true
}

func encode(t *testing.T, text string, changes []change) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, c := range changes {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: c.path, Mode: 0o644}
		switch c.kind {
		case 'd':
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		case 'f':
			h.Size = int64(len(text))
		case 'w':
			h.Name = path.Join(path.Dir(c.path), ".wh."+path.Base(c.path))
		case 'o':
			h.Name = c.path + "/.wh..wh..opq"
		}
		err := w.WriteHeader(h)
		if err == nil && c.kind == 'f' {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// tree reads a directory back into a model.
func tree(root string) (model, error) {
	m := model{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if d.IsDir() {
			m[rel] = "dir"
			return nil
		}
		data, err := os.ReadFile(p)
		m[rel] = string(data)
		return err
	})
	return m, err
}

// seeds is how many stacks TestMerge makes.
const seeds = 40

// Random layers look the same as a model says, mounted by overlay, copied by
// the plain driver, carried out one after the other by Apply, and after each
// was packed and unpacked again.
func TestMerge(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 0))
		want := model{}
		var layers [][]change
		var tars [][]byte
		for i := range 1 + r.IntN(4) {
			c := slices.DeleteFunc(random(r), want.pointless)
			want.apply(fmt.Sprint(i), c)
			layers, tars = append(layers, c), append(tars, encode(t, fmt.Sprint(i), c))
		}
		root := t.TempDir()
		for name, show := range map[string]func(*testing.T, string, [][]byte) (model, error){
			"overlay": mounted, "plain": copied, "apply": applied, "packed": packed,
		} {
			got, err := show(t, filepath.Join(root, name), tars)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.String(), got.String()); diff != "" {
				t.Errorf("seed %d, %s: %s\nlayers: %q", seed, name, diff, layers)
			}
		}
		if t.Failed() {
			return
		}
	}
}

func applied(t *testing.T, root string, tars [][]byte) (model, error) {
	if err := os.Mkdir(root, 0o755); err != nil {
		return nil, err
	}
	for _, in := range tars {
		if _, err := layer.Apply(t.Context(), root, bytes.NewReader(in), layer.Options{Whiteouts: layer.Plain}); err != nil {
			return nil, err
		}
	}
	return tree(root)
}

func packed(t *testing.T, root string, tars [][]byte) (model, error) {
	var again [][]byte
	for i, in := range tars {
		dir := fmt.Sprintf("%s-%d", root, i)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		if _, err := layer.Apply(t.Context(), dir, bytes.NewReader(in), layer.Options{}); err != nil {
			return nil, err
		}
		var out bytes.Buffer
		if err := layer.Pack(t.Context(), &out, dir, layer.Options{}); err != nil {
			return nil, err
		}
		again = append(again, out.Bytes())
	}
	return applied(t, root, again)
}

func copied(t *testing.T, root string, tars [][]byte) (model, error) {
	s, err := snapshot.Open(root, plain.New())
	if err != nil {
		return nil, err
	}
	if err := stack(t, s, tars); err != nil {
		return nil, err
	}
	ms, err := s.Mounts("k", "")
	if err != nil {
		return nil, err
	}
	return tree(ms[0].Source)
}

func mounted(t *testing.T, root string, tars [][]byte) (m model, err error) {
	d, err := overlay.New(root)
	if err != nil {
		return nil, err
	}
	s, err := snapshot.Open(root, d)
	if err != nil {
		return nil, err
	}
	if err := stack(t, s, tars); err != nil {
		return nil, err
	}
	ms, err := s.Mounts("k", "")
	if err != nil {
		return nil, err
	}
	target := t.TempDir()
	err = kernel.OwnMounts(func() (err error) {
		if err = unix.Mount("overlay", target, "overlay", 0, strings.Join(ms[0].Options, ",")); err == nil {
			m, err = tree(target)
		}
		return err
	})
	return m, err
}

// stack commits the layers and prepares key k on the last one.
func stack(t *testing.T, s *snapshot.Store, tars [][]byte) error {
	parent := snapshot.Name("")
	for i, in := range tars {
		name := snapshot.Name(fmt.Sprintf("l%d", i))
		st, err := s.Stage(name, parent)
		if err != nil {
			return err
		}
		if _, err := layer.Apply(t.Context(), st.Dir(), bytes.NewReader(in), layer.Options{}); err != nil {
			return err
		}
		if err := st.Commit(); err != nil {
			return err
		}
		parent = name
	}
	return s.Prepare("k", parent)
}
