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
