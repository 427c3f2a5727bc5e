package engine

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// A list of filter flags that is there and empty says that there are none; one
// that is not there says the default. What is written must not change that.
func TestSpecTextKeepsNoFlags(t *testing.T) {
	trap := map[string]string{`"seccomp":{`: `,"seccomp":{"`}
	for _, tt := range []struct {
		name    string
		profile *specs.LinuxSeccomp
	}{
		{"no profile", nil},
		{"not there", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}},
		{"empty", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{}}},
		{"one", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := &specs.Spec{
				Version: "1.3.0", Annotations: trap, Process: &specs.Process{Args: []string{`"seccomp":{`}, Cwd: "/"},
				Linux: &specs.Linux{Sysctl: trap, Seccomp: tt.profile},
			}
			text, err := specText(want)
			if err != nil {
				t.Fatal(err)
			}
			got := new(specs.Spec)
			if err := json.Unmarshal(text, got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
