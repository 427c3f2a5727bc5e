package launch

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The child's code makes system calls and jumps within itself, and nothing
// else: it has no stack to speak of and no Go runtime around it.
func TestInterpreterOnlyMakesSyscalls(t *testing.T) {
	out := disassembly(t, builtRuntime(t))
	syscalls := 0
	for _, line := range out {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		switch mnemonic := f[3]; {
		case mnemonic == "SYSCALL":
			syscalls++
		case strings.HasPrefix(mnemonic, "CALL"), strings.HasPrefix(mnemonic, "RET"), strings.HasPrefix(mnemonic, "PUSH"), strings.HasPrefix(mnemonic, "POP"):
			t.Errorf("not for a child: %s", line)
		case strings.Contains(line, "(SB)") && !strings.HasPrefix(mnemonic, "J") && !strings.Contains(f[2], "00004100") && !strings.Contains(f[2], "00003000"):
			// The two fixed addresses of the image look like symbols to objdump.
			t.Errorf("refers to something outside of the image: %s", line)
		}
	}
	// mmap of the report, the op's own, dup3, close, write of the note, and
	// three ways to exit.
	if want := 8; syscalls != want {
		t.Errorf("%d system call instructions, want %d: review the interpreter and this number", syscalls, want)
	}
}

func TestInterpreterFitsItsPage(t *testing.T) {
	if n := len(interpreterCode()); n == 0 || n > 4096-entry {
		t.Errorf("the interpreter is %d bytes long", n)
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
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "github.com/berth-engine/berth/cmd/berth-oci").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// disassembly returns the lines of the interpreter in binary.
func disassembly(t *testing.T, binary string) []string {
	t.Helper()
	out, err := exec.Command("go", "tool", "objdump", "-s", `runtime/launch\.interpreter(\.abi0)?$`, binary).CombinedOutput()
	if err != nil {
		t.Fatalf("objdump: %v\n%s", err, out)
	}
	lines := strings.Split(string(out), "\n")
	for i, line := range lines {
		// What follows the last jump is the mark of the end.
		if strings.Contains(line, "be27b3915ed04cf7") || strings.Contains(line, "MOVL $0x5e91b327") {
			return lines[:i]
		}
	}
	return lines
}
