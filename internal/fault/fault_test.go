package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestKinds(t *testing.T) {
	kinds := []Kind{NotFound, Conflict, Invalid, Denied, Unsupported, Unavailable, Damaged, TooLarge, NotRunning, Exists}
	for _, k := range kinds {
		t.Run(string(k), func(t *testing.T) {
			for _, err := range []error{
				New(k, "x %d", 1),
				As(k, errors.New("x")),
				Op("do", "it", New(k, "x")),
				fmt.Errorf("outer: %w", Op("do", "", New(k, "x"))),
				errors.Join(errors.New("other"), New(k, "x")),
				k,
			} {
				if !errors.Is(err, k) || KindOf(err) != k {
					t.Errorf("%v: is %v", err, KindOf(err))
				}
				for _, other := range kinds {
					if other != k && errors.Is(err, other) {
						t.Errorf("%v is also %v", err, other)
					}
				}
			}
		})
	}
	if KindOf(errors.New("x")) != Internal || KindOf(nil) != Internal {
		t.Error("an error without a class is not internal")
	}
}

func TestText(t *testing.T) {
	cause := New(Invalid, "bad %q", "v")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{cause, `bad "v"`},
		{Op("room.verb", "c1", cause), `room.verb c1: bad "v"`},
		{Op("room.verb", "", cause), `room.verb: bad "v"`},
		{Op("outer", "o", Op("inner", "i", cause)), `outer o: inner i: bad "v"`},
		{As(Damaged, cause), `bad "v"`},
		{Invalid, "invalid"},
	} {
		if tt.err.Error() != tt.want {
			t.Errorf("got %q, want %q", tt.err, tt.want)
		}
	}
}

func TestNilStaysNil(t *testing.T) {
	if Op("a", "b", nil) != nil || As(Invalid, nil) != nil {
		t.Error("nil became an error")
	}
}

// The cause stays visible through class, place and %w.
func TestCause(t *testing.T) {
	_, cause := os.Open("/nonexistent/file")
	err := Op("room.verb", "c1", New(Damaged, "read: %w", As(Denied, cause)))
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, Damaged) || !errors.Is(err, Denied) {
		t.Errorf("lost something of %v", err)
	}
	var pe *fs.PathError
	if !errors.As(err, &pe) || !strings.HasSuffix(pe.Path, "file") {
		t.Errorf("no path error in %v", err)
	}
}

func ExampleOp() {
	inUse := New(Conflict, "snapshot has children")
	err := Op("snapshot.remove", "c1", inUse)
	fmt.Println(err)
	fmt.Println(errors.Is(err, Conflict), errors.Is(err, inUse), KindOf(err))
	// Output:
	// snapshot.remove c1: snapshot has children
	// true true conflict
}
