package launch

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The child may call raw system calls and nothing else: anything that could
// grow the stack, allocate or take a lock would hang or crash it, or worse,
// only sometimes.
func TestChildCallsOnlyRawSyscalls(t *testing.T) {
	allowed := map[string]bool{
		"syscall.RawSyscall(SB)": true, "syscall.RawSyscall6(SB)": true,
		"internal/runtime/syscall/linux.Syscall6(SB)": true, "runtime/internal/syscall.Syscall6(SB)": true,
		// The hooks that package syscall uses around its own fork.
		"syscall.runtime_BeforeFork(SB)": true, "syscall.runtime_AfterFork(SB)": true, "syscall.runtime_AfterForkInChild(SB)": true,
		"github.com/berth-engine/berth/runtime/launch.interpret(SB)": true,
	}
	binary := builtRuntime(t)
	for _, fn := range []string{"interpret", "spawn"} {
		calls := callsOf(t, binary, fn)
		if len(calls) == 0 {
			t.Errorf("%s: no call found, the disassembly was not understood", fn)
		}
		for _, c := range calls {
			// spawn's own stack check runs before the fork.
			before := fn == "spawn" && strings.HasPrefix(c, "runtime.morestack")
			if !allowed[c] && !before {
				t.Errorf("%s calls %s, which is not safe between fork and exec", fn, c)
			}
		}
	}
}

// builtRuntime builds the program that ships: the compiler's choices there are
// the ones that count.
func builtRuntime(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go tool to build and disassemble: ", err)
	}
	binary := filepath.Join(t.TempDir(), "berth-oci")
	out, err := exec.Command("go", "build", "-o", binary, "github.com/berth-engine/berth/cmd/berth-oci").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// callsOf disassembles one function of this package in binary.
func callsOf(t *testing.T, binary, fn string) []string {
	t.Helper()
	out, err := exec.Command("go", "tool", "objdump", "-s", `runtime/launch\.`+fn+`$`, binary).CombinedOutput()
	if err != nil {
		t.Fatalf("objdump: %v\n%s", err, out)
	}
	var calls []string
	for line := range strings.Lines(string(out)) {
		if _, target, ok := strings.Cut(line, "CALL "); ok {
			calls = append(calls, strings.TrimSpace(target))
		}
	}
	return calls
}
