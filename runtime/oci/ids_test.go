package oci

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/berth-engine/berth/test/fixture"
)

// In a user namespace a process without one of its own has our numbers, though
// its map, read from inside, speaks of the namespace above.
func TestMachineID(t *testing.T) {
	fixture.Root(t)
	const inside = "BERTH_OCI_TEST_IDS"
	if os.Getenv(inside) != "" {
		if id, err := machineID(os.Getpid(), "uid", 7); id != 7 || err != nil {
			t.Error(id, err)
		}
		return
	}
	mapped := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 10}, {ContainerID: 20, HostID: 5, Size: 1}}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, UidMappings: maps, GidMappings: maps,
			Credential: &syscall.Credential{}, Pdeathsig: syscall.SIGKILL,
		}
		return cmd
	}
	same := mapped("/proc/self/exe", "-test.run=^TestMachineID$")
	same.Env = append(os.Environ(), inside+"=1")
	if out, err := same.CombinedOutput(); err != nil {
		t.Errorf("inside: %v\n%s", err, out)
	}
	other := mapped("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	for id, want := range map[uint32]uint32{0: 100000, 9: 100009, 20: 5} {
		if got, err := machineID(other.Process.Pid, "gid", id); got != want || err != nil {
			t.Errorf("%d is %d, %v, want %d", id, got, err, want)
		}
	}
	if got, err := machineID(other.Process.Pid, "uid", 10); err == nil {
		t.Errorf("10, which is not mapped, is %d", got)
	}
}
