package seccomp

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/berth-engine/berth/internal/kernel"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// dockerDefault is the file of Docker's own default profile.
func dockerDefault(t testing.TB) []byte {
	t.Helper()
	text, err := json.Marshal(moby.DefaultProfile())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestFromDockerAgreesWithDocker reads files with Docker's own code, on the
// machine and kernel that this runs on.
func TestFromDockerAgreesWithDocker(t *testing.T) {
	if _, ok := machineOf(runtime.GOARCH); !ok {
		t.Skip("no table for " + runtime.GOARCH)
	}
	texts := map[string][]byte{"Docker's default": dockerDefault(t)}
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, podmanProfile) {
		if text, err := os.ReadFile(file); err == nil {
			texts[file] = text
		} else if file != podmanProfile {
			t.Fatal(err)
		}
	}
	for name, text := range texts {
		for _, caps := range [][]string{nil, {"CAP_SYS_ADMIN"}, {"CAP_CHOWN", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_AUDIT_WRITE"}} {
			got, err := FromDocker(text, Host{Arch: runtime.GOARCH, Caps: caps, Kernel: kernel.Version()})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			spec := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}}
			want, err := moby.LoadProfile(string(text), spec)
			if err != nil {
				t.Fatalf("%s, read by Docker: %v", name, err)
			}
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("%s, %v:\n%s", name, caps, d)
			}
		}
	}
}
