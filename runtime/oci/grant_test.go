package oci

import (
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestWithhold(t *testing.T) {
	all := []string{"CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_BPF", "CAP_FLY"}
	c := &specs.LinuxCapabilities{Bounding: all, Effective: all[:2], Permitted: all}
	lost := withhold(c, 1<<unix.CAP_CHOWN|1<<unix.CAP_KILL)
	if want := []string{"CAP_SYS_RESOURCE", "CAP_BPF"}; !slices.Equal(lost, want) {
		t.Errorf("lost %q, want %q", lost, want)
	}
	if want := []string{"CAP_CHOWN", "CAP_FLY"}; !slices.Equal(c.Bounding, want) || !slices.Equal(c.Permitted, want) || !slices.Equal(c.Effective, want[:1]) {
		t.Errorf("kept %+v", c)
	}
	if want := 4; len(all) != want || all[1] != "CAP_SYS_RESOURCE" {
		t.Errorf("the caller's list has changed: %q", all)
	}
}
