package launch

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A thread that Go's watchdog makes has the watchdog's timer slack, which
// berth makes longer (internal/brisk): a payload is not to inherit it.
func TestTimerSlackOfThePayload(t *testing.T) {
	root := busybox(t)
	want, err := os.ReadFile("/proc/self/timerslack_ns")
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 4_000_000, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	got, err := run(t, testSpec("/bin/cat", "/proc/self/timerslack_ns"), root)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(got.out) != strings.TrimSpace(string(want)) {
		t.Errorf("the payload's timer slack is %q, ours %q", got.out, want)
	}
}
