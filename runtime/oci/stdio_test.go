package oci

import (
	"fmt"
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A user can open its standard streams anew, and nothing of the machine gets
// another owner.
func TestStdioOwner(t *testing.T) {
	var before unix.Stat_t
	if err := unix.Stat("/dev/null", &before); err != nil {
		t.Fatal(err)
	}
	for _, userns := range []bool{false, true} {
		p := newPod(t, "echo one > /dev/stdout; echo two > /dev/stderr; sleep 1000")
		if userns {
			mapped(p)
		}
		p.spec.Process.User = specs.User{UID: 1000, GID: 1000}
		o := newOutput(t)
		proc := p.create(o)
		if err := p.Start(t.Context(), p.id); err != nil {
			t.Fatal(err)
		}
		prog := p.program("sh", "-c", "echo three > /dev/stdout")
		prog.User.UID = 1001
		if out, code, err := p.exec(prog); out != "three\n" || code != 0 || err != nil {
			t.Errorf("user namespace %t: exec: %q %d %v", userns, out, code, err)
		}
		asleep(t, proc)
		if err := p.Delete(t.Context(), p.id, true); err != nil {
			t.Fatal(err)
		}
		if got := o.text(); got != "one\ntwo\n" {
			t.Errorf("user namespace %t: %q", userns, got)
		}
		var st unix.Stat_t
		if err := unix.Stat("/dev/null", &st); err != nil || st.Uid != before.Uid {
			t.Errorf("/dev/null belongs to %d now, before to %d, %v", st.Uid, before.Uid, err)
		}
	}
}

// asleep waits until the payload has nothing more to say.
func asleep(t *testing.T, proc *Process) {
	t.Helper()
	poll(t, "the payload to sleep", func() bool {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", proc.Pid))
		return err == nil && string(comm) == "sleep\n"
	})
}
