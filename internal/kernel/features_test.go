package kernel

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestSeccompFlags(t *testing.T) {
	if _, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err != nil {
		t.Skipf("the kernel has no seccomp: %v", err)
	}
	for flags, want := range map[uint32]bool{
		0: true, unix.SECCOMP_FILTER_FLAG_LOG: true, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW: true, 1 << 31: false,
	} {
		if got := SeccompFlags(flags); got != want {
			t.Errorf("flags %#x: %v, want %v", flags, got, want)
		}
	}
}

// The version that LowerAppend goes by, and what overlay itself says.
func TestLowerAppend(t *testing.T) {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Skipf("cannot ask overlay: %v", err)
	}
	defer unix.Close(fd)
	says := unix.FsconfigSetString(fd, "lowerdir+", "/") == nil
	if says && !LowerAppend() {
		t.Logf("Linux %s takes lowerdir+ already: berth does without", Release())
	}
	if !says && LowerAppend() {
		t.Errorf("overlay of Linux %s does not take lowerdir+", Release())
	}
}
