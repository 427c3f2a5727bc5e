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

// notDockers is what our default profile decides differently from Docker's
// about calls without arguments.
var notDockers = map[string]string{
	"socket":         "the family 0 is none",
	"open_tree_attr": "for CAP_SYS_ADMIN, as open_tree; younger than Docker's list",
	"uprobe":         "the kernel's own trampolines make it, as uretprobe; younger than Docker's list",
}

// TestDefaultIsDockers keeps the two default profiles together: what runs under
// one runs under the other.
func TestDefaultIsDockers(t *testing.T) {
	text := dockerDefault(t)
	met := map[string]bool{}
	for goarch := range machineArchs {
		for _, caps := range [][]string{{"CAP_CHOWN", "CAP_SYS_CHROOT"}, everyCap()} {
			h := Host{Arch: goarch, Caps: caps, Kernel: [2]int{6, 18}}
			dockers, err := FromDocker(text, h)
			if err != nil {
				t.Fatal(err)
			}
			ours, err1 := Compile(Default(h), goarch)
			theirs, err2 := Compile(dockers, goarch)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			for _, b := range abisOf(goarch) {
				if b == x32 {
					continue // dead for us, allowed by Docker
				}
				for _, s := range syscalls {
					d := Data{Nr: s.nr[b], Arch: auditArch[b]}
					got, err1 := Simulate(ours.Prog, d)
					want, err2 := Simulate(theirs.Prog, d)
					if err1 != nil || err2 != nil {
						t.Fatal(err1, err2)
					}
					if d.Nr < 0 || got == want {
						continue
					}
					if met[s.name] = true; notDockers[s.name] == "" {
						t.Errorf("%s of %s: %s, Docker says %s", s.name, abiNames[b], Verdict(got), Verdict(want))
					}
				}
			}
		}
	}
	for name, because := range notDockers {
		if !met[name] {
			t.Errorf("there is no difference about %s any more (%s)", name, because)
		}
	}
}

// everyCap lists the capabilities that Default or Docker's profile look at.
func everyCap() []string {
	caps := []string{"CAP_NET_ADMIN", "CAP_IPC_LOCK", "CAP_CHECKPOINT_RESTORE", "CAP_SYS_RESOURCE"}
	for _, o := range openings {
		caps = append(caps, o.capability)
	}
	return caps
}
