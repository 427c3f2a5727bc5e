package oci

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/fixture"
)

// fewDescriptors marks the process of TestFewDescriptors that has a low limit.
const fewDescriptors = "BERTH_OCI_TEST_FEW"

// A caller's low soft limit of descriptors is no obstacle, and the payload
// inherits it. The Go runtime raises its own and lowers that of its children
// again, so only a new process shows it.
func TestFewDescriptors(t *testing.T) {
	fixture.Root(t)
	if os.Getenv(fewDescriptors) == "" {
		cmd := exec.Command("sh", "-c", `ulimit -Sn 70; exec "$0" -test.run "^TestFewDescriptors$" -test.v`, os.Args[0])
		cmd.Env = append(os.Environ(), fewDescriptors+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFewDescriptors") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	p := newPod(t, "ulimit -Sn; sleep 1000")
	mapped(p)
	p.spec.Process.Rlimits = nil
	o := newOutput(t)
	proc := p.create(o)
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	if out, code, err := p.exec(p.program("sh", "-c", "ulimit -Sn")); out != "70\n" || code != 0 || err != nil {
		t.Errorf("exec: %q %d %v", out, code, err)
	}
	asleep(t, proc)
	if err := p.Delete(t.Context(), p.id, true); err != nil {
		t.Fatal(err)
	}
	if got := o.text(); got != "70\n" {
		t.Errorf("%q", got)
	}
}

// Small limits are for the payload, not for its making.
func TestSmallLimits(t *testing.T) {
	for _, userns := range []bool{false, true} {
		p := newPod(t, `ulimit -Sn; ulimit -Hn; ulimit -v; ulimit -f; ulimit -s`)
		p.spec.Process.Rlimits = []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Soft: 10, Hard: 20},
			{Type: "RLIMIT_AS", Soft: 64 << 20, Hard: 64 << 20},
			{Type: "RLIMIT_FSIZE", Soft: 512, Hard: 1024},
			{Type: "RLIMIT_STACK", Soft: 1 << 20, Hard: 1 << 20},
			{Type: "RLIMIT_CPU", Soft: 5, Hard: 5},
		}
		if userns {
			mapped(p)
		}
		if got := strings.Join(strings.Fields(p.says()), " "); got != "10 20 65536 1 1024" {
			t.Errorf("user namespace %t: %q", userns, got)
		}
	}
}

// In a user namespace the runtime raises hard limits, as far as it may.
func TestRaisedLimits(t *testing.T) {
	p := newPod(t, "ulimit -Hl")
	mapped(p)
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
		t.Fatal(err)
	}
	want := l
	want.Max += 1 << 20
	if l.Max == unix.RLIM_INFINITY || unix.Setrlimit(unix.RLIMIT_MEMLOCK, &want) != nil {
		t.Skip("needs CAP_SYS_RESOURCE and a finite RLIMIT_MEMLOCK")
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
		t.Fatal(err)
	}
	p.spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_MEMLOCK", Soft: l.Cur, Hard: want.Max}}
	if got := strings.TrimSpace(p.says()); got != strconv.FormatUint(want.Max>>10, 10) {
		t.Errorf("%q, want %d", got, want.Max>>10)
	}
}
