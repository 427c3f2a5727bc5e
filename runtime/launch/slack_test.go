package launch

import (
	"strings"
	"testing"

	"github.com/berth-engine/berth/test/fixture"
)

func TestTimerSlackOfThePayload(t *testing.T) {
	root := busybox(t)
	usual := fixture.LateThread(t)
	got, err := run(t, testSpec("/bin/cat", "/proc/self/timerslack_ns"), root)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(got.out) != usual {
		t.Errorf("the payload's timer slack is %q, ours %q", got.out, usual)
	}
}
