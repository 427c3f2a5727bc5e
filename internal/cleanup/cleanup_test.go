package cleanup

import (
	"errors"
	"slices"
	"testing"
)

func TestRunOrder(t *testing.T) {
	var got []int
	s := New()
	for n := range 4 {
		s.Add(func() error { got = append(got, n); return nil })
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if want := []int{3, 2, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := s.Run(); err != nil || len(got) != 4 {
		t.Errorf("a second Run did something: %v, %v", got, err)
	}
}

func TestRelease(t *testing.T) {
	ran := ""
	s := New()
	s.Add(func() error { ran += "before "; return nil })
	s.Release()
	s.Add(func() error { ran += "after"; return nil })
	if err := s.Run(); err != nil || ran != "after" {
		t.Errorf("ran %q, %v", ran, err)
	}
}

// A step that cannot be undone does not keep the others from it, and no error
// is lost.
func TestRunErrors(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	ran := 0
	s := New()
	s.Add(func() error { ran++; return a })
	s.Add(func() error { ran++; return nil })
	s.Add(func() error { ran++; return b })
	err := s.Run()
	if ran != 3 || !errors.Is(err, a) || !errors.Is(err, b) {
		t.Errorf("ran %d, got %v", ran, err)
	}
}

// An undo that panics is not run again, and those below it still can be.
func TestRunPanic(t *testing.T) {
	ran := ""
	s := New()
	s.Add(func() error { ran += "below"; return nil })
	s.Add(func() error { panic("x") })
	func() {
		defer func() { recover() }()
		s.Run()
	}()
	if err := s.Run(); err != nil || ran != "below" {
		t.Errorf("ran %q, %v", ran, err)
	}
}

// An undo may add to the stack while it runs, e.g. when it delegates.
func TestAddWhileRunning(t *testing.T) {
	ran := ""
	s := New()
	s.Add(func() error {
		s.Add(func() error { ran += "inner"; return nil })
		return nil
	})
	if err := s.Run(); err != nil || ran != "inner" {
		t.Errorf("ran %q, %v", ran, err)
	}
}

// The pattern of the package doc: whatever step fails, the earlier ones are
// undone, and only those.
func TestFailAtStep(t *testing.T) {
	bad := errors.New("bad")
	const steps = 5
	for fail := range steps + 1 {
		made := map[int]bool{}
		err := func() error {
			undo := New()
			defer undo.Run()
			for n := range steps {
				if n == fail {
					return bad
				}
				made[n] = true
				undo.Add(func() error { delete(made, n); return nil })
			}
			undo.Release()
			return nil
		}()
		if fail == steps {
			if err != nil || len(made) != steps {
				t.Errorf("success: %v, %v", made, err)
			}
		} else if !errors.Is(err, bad) || len(made) != 0 {
			t.Errorf("step %d: %v left, %v", fail, made, err)
		}
	}
}
