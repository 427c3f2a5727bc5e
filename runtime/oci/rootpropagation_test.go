package oci

import (
	"strings"
	"testing"
)

// TestRootPropagationValues: every value of linux.rootfsPropagation makes a
// container, whose root is tied to others as it says.
func TestRootPropagationValues(t *testing.T) {
	for _, tt := range []struct{ value, want string }{
		{"", "-"},
		{"private", "-"},
		{"rprivate", "-"},
		{"slave", "-"}, // of nobody: the root is a mount of the container's own
		{"shared", "shared:"},
		{"rshared", "shared:"},
		{"unbindable", "unbindable"},
	} {
		t.Run(tt.value, func(t *testing.T) {
			p := newPod(t, "awk '$5 == \"/\" { print $7 }' /proc/self/mountinfo")
			p.spec.Linux.RootfsPropagation = tt.value
			if out := p.says(); !strings.HasPrefix(out, tt.want) {
				t.Errorf("the root is %q, want %q", out, tt.want)
			}
		})
	}
}
