package launch

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/runtime/plan"
)

// Whatever step fails: the error names it, and nothing is left of the child.
func TestFailAtEveryStep(t *testing.T) {
	root := busybox(t)
	p := compiled(t, root)
	clean, err := Assemble(p)
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	before := snapshotOf(t)
	seen := -1
	for n := range clean.ops {
		step := int(clean.steps[n])
		if step == seen {
			continue // one op for each step is enough
		}
		seen = step
		pr, err := Assemble(p)
		if err != nil {
			t.Fatal(err)
		}
		pr.ops[n] = op{kind: opFail, want: uint64(unix.EIO), into: -1}
		child, err := Start(t.Context(), pr, Options{Files: []*os.File{null, null, null}})
		if err == nil {
			child.Kill()
			t.Fatalf("step %d: no error", step+1)
		}
		var se *StepError
		if !errors.As(err, &se) || se.N != step+1 || se.Errno != unix.EIO {
			t.Errorf("step %d: got %v", step+1, err)
		}
		want, _ := p.At(step)
		if !strings.Contains(err.Error(), want.String()) {
			t.Errorf("step %d: %q does not name the step %q", step+1, err, want)
		}
		if after := snapshotOf(t); after != before {
			t.Fatalf("step %d left something:\nbefore %+v\nafter  %+v", step+1, before, after)
		}
	}
}

func compiled(t *testing.T, root string) *plan.Plan {
	t.Helper()
	p, err := plan.Compile(testSpec("true"), nil, plan.Facts{RootPath: root, LastCap: 40, Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// world is what a failed start could leave behind.
type world struct {
	mounts   string
	fds      int
	children bool
}

func snapshotOf(t *testing.T) world {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	// Other tests of the machine mount and unmount, too: count what names this test's directories.
	own := 0
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, t.TempDir()[:strings.LastIndexByte(t.TempDir(), '/')]) {
			own++
		}
	}
	_, err = unix.Wait4(-1, nil, unix.WNOHANG, nil)
	return world{mounts: strings.Repeat("+", own), fds: len(fds), children: !errors.Is(err, unix.ECHILD)}
}

func TestKillBetweenForkAndExecLeavesNothing(t *testing.T) {
	root := busybox(t)
	pr, err := Assemble(compiled(t, root))
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	before := snapshotOf(t)
	_, err = Start(t.Context(), pr, Options{
		Files: []*os.File{null, null, null},
		At: func(at plan.Point, p *Process) error {
			if at == Cloned {
				return p.Kill()
			}
			return nil
		},
	})
	if err == nil || !strings.Contains(err.Error(), "killed") && !strings.Contains(err.Error(), "step") {
		t.Errorf("got %v, want the step at which it was killed", err)
	}
	if after := snapshotOf(t); after != before {
		t.Errorf("left something:\nbefore %+v\nafter  %+v", before, after)
	}
}

// Descriptors of the caller's that happen to lie where package syscall puts
// things aside must not get in the way: a monitor starts several at once.
func TestManyDescriptors(t *testing.T) {
	root := busybox(t)
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for range 20 {
		// The lowest free one from 128 on, kept open for the next rounds.
		fd, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD_CLOEXEC, plan.SlotBase+plan.MaxSlots)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		got, err := run(t, testSpec("true"), root)
		if err != nil || got.status.ExitStatus() != 0 {
			t.Fatalf("with descriptor %d open: %v %v", fd, got.status, err)
		}
	}
}
