package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
)

// fake is a driver of two directories that can fail.
type fake struct{ err error }

func (f *fake) Create(t Tree, _ []Tree) error {
	return errors.Join(os.Mkdir(t.Dir+"/fs", 0o700), f.err)
}
func (*fake) Mounts(Tree, []Tree, bool) []mount.Mount { return nil }
func (*fake) Remove(t Tree) error                     { return os.RemoveAll(t.Dir) }

// prepared has name a ◄ b and key k on b.
func prepared(t *testing.T, root string) *Store {
	t.Helper()
	s, err := Open(root, &fake{})
	must(t, err)
	for _, n := range [][2]Name{{"a", ""}, {"b", "a"}} {
		st, err := s.Stage(n[0], n[1])
		must(t, err)
		must(t, st.Commit())
	}
	must(t, s.Prepare("k", "b"))
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// operations are all that change the disk, each in steps.
var operations = []struct {
	name string
	run  func(*Store) error
}{
	{"prepare", func(s *Store) error { return s.Prepare("new", "b") }},
	{"remove", func(s *Store) error { return s.Remove("k") }},
	{"stage and abort", func(s *Store) error {
		st, err := s.Stage("c", "b")
		if err != nil {
			return err
		}
		return st.Abort()
	}},
	{"stage and commit", func(s *Store) error {
		c, err := s.Stage("c", "b")
		if err != nil {
			return err
		}
		d, err := s.Stage("d", "c")
		if err != nil {
			return errors.Join(err, c.Abort())
		}
		if err := Commit(c, d); err != nil {
			return errors.Join(err, c.Abort(), d.Abort())
		}
		return nil
	}},
	{"remove name", func(s *Store) error {
		if err := s.Remove("k"); err != nil {
			return err
		}
		return s.RemoveName("b")
	}},
}

// state lists names that exist, keys that can be mounted, and directories
// that are neither.
func state(t *testing.T, s *Store) []string {
	t.Helper()
	var out []string
	names, err := s.Names()
	must(t, err)
	trees, err := s.list(layersDir)
	must(t, err)
	for _, n := range names {
		if n.Err != nil || !s.Exists(n.Name) {
			t.Errorf("damaged: %v", n)
		}
		out = append(out, "name "+string(n.Name))
	}
	if len(trees) != len(names) {
		out = append(out, fmt.Sprintf("%d trees for %d names", len(trees), len(names)))
	}
	keys, err := s.Keys()
	must(t, err)
	for _, k := range keys {
		if _, err := s.Mounts(k, ""); errors.Is(err, fault.NotFound) {
			out = append(out, "half key "+string(k))
		} else {
			must(t, err)
			out = append(out, "key "+string(k))
		}
	}
	staged, err := s.list(stagingDir)
	must(t, err)
	if len(staged) > 0 {
		out = append(out, fmt.Sprintf("%d markers", len(staged)))
	}
	return out
}

// Whichever step fails, the operation leaves what was there before, or it is
// done; and doing it again works.
func TestStepFails(t *testing.T) {
	broken := errors.New("injected")
	for _, op := range operations {
		for n := 0; ; n++ {
			s := prepared(t, t.TempDir())
			before := state(t, s)
			var step string
			left := n
			s.before = func(name string) error {
				if left--; left == -1 {
					step = name
					return broken
				}
				return nil
			}
			err := op.run(s)
			s.before = nil
			if step == "" {
				must(t, err)
				break // there are no more steps
			}
			t.Run(fmt.Sprintf("%s at %d %s", op.name, n, step), func(t *testing.T) {
				if !errors.Is(err, broken) {
					t.Errorf("got %v", err)
				}
				_, rerr := s.Recover() // what an interrupted removal leaves
				must(t, rerr)
				after := state(t, s)
				done := step == "sync names" || op.name == "remove name" || strings.HasPrefix(step, "discard")
				if op.name == "stage and commit" { // of two, the first may have made it
					after = slices.DeleteFunc(after, func(line string) bool { return line == "name c" })
				}
				if diff := cmp.Diff(before, after); diff != "" && !done {
					t.Error(diff)
				}
				if err := op.run(s); err != nil && !errors.Is(err, fault.NotFound) && !errors.Is(err, fault.Exists) {
					t.Errorf("again: %v", err)
				}
			})
		}
	}
}

// A process that is killed before any step leaves a store in which nothing
// acknowledged is missing and Recover finds the rest.
func TestKilled(t *testing.T) {
	for _, op := range operations {
		s := prepared(t, t.TempDir())
		copies := map[string]string{}
		s.before = func(step string) error {
			dir := filepath.Join(t.TempDir(), "copy")
			copies[fmt.Sprintf("%d %s", len(copies), step)] = dir
			return os.CopyFS(dir, os.DirFS(s.root))
		}
		must(t, op.run(s))
		for step, dir := range copies {
			t.Run(op.name+" before "+step, func(t *testing.T) {
				s, err := Open(dir, &fake{})
				must(t, err)
				rep, err := s.Recover()
				must(t, err)
				for _, line := range state(t, s) {
					if strings.HasPrefix(line, "half key") {
						must(t, s.Remove(Key(strings.TrimPrefix(line, "half key "))))
					} else if !strings.HasPrefix(line, "name ") && !strings.HasPrefix(line, "key ") {
						t.Errorf("after recovery: %s (%+v)", line, rep)
					}
				}
				if !s.Exists("a") || op.name != "remove name" && !s.Exists("b") {
					t.Error("a committed name is lost")
				}
				if err := op.run(s); err != nil && !errors.Is(err, fault.NotFound) && !errors.Is(err, fault.Exists) {
					t.Errorf("again: %v", err)
				}
			})
		}
	}
}

func TestCreateFails(t *testing.T) {
	s := prepared(t, t.TempDir())
	before := state(t, s)
	s.driver.(*fake).err = errors.New("no space")
	if err := s.Prepare("new", "b"); err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff(before, state(t, s)); diff != "" {
		t.Error(diff)
	}
}

// Every kind of damage makes a name not exist, is moved aside by Recover, and
// is healed by committing the layer again.
func TestDamage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(s *Store, record, tree string) error
	}{
		{"record empty", func(_ *Store, r, _ string) error { return os.Truncate(r, 0) }},
		{"record cut", func(_ *Store, r, _ string) error { return os.Truncate(r, 50) }},
		{"record gone", func(_ *Store, r, _ string) error { return os.Remove(r) }},
		{"bit flipped", func(_ *Store, r, _ string) error {
			data, err := os.ReadFile(r)
			data[20] ^= 1
			return errors.Join(err, os.WriteFile(r, data, 0o600))
		}},
		{"another's record", func(s *Store, r, _ string) error { return os.Rename(s.path(namesDir, "a"), r) }},
		{"record is a directory", func(_ *Store, r, _ string) error { return errors.Join(os.Remove(r), os.Mkdir(r, 0o700)) }},
		{"record is huge", func(_ *Store, r, _ string) error { return os.Truncate(r, 1<<30) }},
		{"tree gone", func(_ *Store, _, d string) error { return os.RemoveAll(d) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := prepared(t, t.TempDir())
			must(t, s.Remove("k"))
			r, err := s.read("b")
			must(t, err)
			must(t, tt.damage(s, s.path(namesDir, "b"), s.path(layersDir, r.Trees[0])))
			if s.Exists("b") {
				t.Error("still exists")
			}
			if err := s.Prepare("new", "b"); !errors.Is(err, fault.Damaged) && !errors.Is(err, fault.NotFound) {
				t.Errorf("prepare: got %v", err)
			}
			rep, err := s.Recover()
			must(t, err)
			if len(rep.Quarantined) == 0 {
				t.Error("nothing was moved aside")
			}
			if tt.name == "another's record" {
				return // a is gone as well
			}
			st, err := s.Stage("b", "a")
			must(t, err)
			must(t, st.Commit())
			if !s.Exists("b") {
				t.Error("not healed")
			}
			rep, err = s.Recover()
			must(t, err)
			if diff := cmp.Diff(Report{}, rep); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Committing again heals without Recover, too.
func TestDamageCommit(t *testing.T) {
	s := prepared(t, t.TempDir())
	must(t, os.Truncate(s.path(namesDir, "b"), 10))
	st, err := s.Stage("b", "a")
	must(t, err)
	must(t, st.Commit())
	if _, err := s.Mounts("k", ""); err != nil || !s.Exists("b") {
		t.Errorf("not healed: %v", err)
	}
	must(t, s.Remove("k"))
	must(t, os.Truncate(s.path(namesDir, "b"), 10))
	must(t, s.RemoveName("b"))
	if s.Exists("b") {
		t.Error("still there")
	}
}

// A store of a later berth is left alone.
func TestFutureFormat(t *testing.T) {
	s := prepared(t, t.TempDir())
	r, err := s.read("b")
	must(t, err)
	r.Format = 2
	data, err := r.encode()
	must(t, err)
	must(t, os.WriteFile(s.path(namesDir, "b"), data, 0o600))
	if _, err := s.Recover(); !errors.Is(err, fault.Unsupported) {
		t.Errorf("got %v", err)
	}
	if err := s.RemoveName("b"); !errors.Is(err, fault.Unsupported) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(s.path(corruptDir)); err == nil {
		t.Error("something was moved aside")
	}
}

// A stage that somebody works on is not swept, one whose process died is.
func TestSweep(t *testing.T) {
	root := t.TempDir()
	s := prepared(t, root)
	st, err := s.Stage("c", "b")
	must(t, err)
	other, err := Open(root, &fake{})
	must(t, err)
	rep, err := other.Recover()
	must(t, err)
	if len(rep.Dropped)+len(rep.Quarantined) > 0 {
		t.Errorf("swept a live stage: %+v", rep)
	}
	must(t, os.WriteFile(st.Dir()+"/file", nil, 0o600))
	st.marker.Close() // as death does
	d, err := other.Stage("d", "b")
	must(t, err)
	defer d.Abort() //nolint:errcheck // the directory goes anyway
	if _, err := os.Lstat(st.Dir()); err == nil {
		third, err := Open(root, &fake{}) // other has swept before
		must(t, err)
		rep, err := third.Recover()
		must(t, err)
		if diff := cmp.Diff(Report{Dropped: []string{st.id}}, rep); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := os.Lstat(st.Dir()); err == nil {
		t.Error("the dead stage is still there")
	}
}

func FuzzRecord(f *testing.F) {
	r := &record{Format: 1, Name: "a", Trees: []string{"x1", "y2"}}
	data, err := r.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode("a", data)
		if err != nil {
			return
		}
		for _, id := range r.Trees {
			if strings.ContainsAny(id, "/:,") || id == ".." {
				t.Errorf("tree %q", id)
			}
		}
		if _, err := r.encode(); err != nil || r.Name != "a" {
			t.Errorf("%+v: %v", r, err)
		}
	})
}
