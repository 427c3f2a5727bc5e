package launch

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/runtime/plan"
)

// emulator is the environment variable that names a program to run images of
// this test's architecture with; empty runs them directly.
const emulator = "BERTH_TEST_EMULATOR"

// A program without any privilege that takes every path of the interpreter
// but clone: it runs on any machine, also under an emulator.
func TestImageAlone(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ops   func(pr *Program) []op
		out   string
		op    int
		errno syscall.Errno
	}{
		{"writes and skips", func(pr *Program) []op {
			skipped := say(pr, "never ")
			return []op{say(pr, "one "), {kind: opJump, skip: 1, into: -1}, skipped, say(pr, "two"), exit(0)}
		}, "one two", 4, 0},
		{"accepts named errors", func(pr *Program) []op {
			bad := op{nr: unix.SYS_CLOSE, arg: [6]uint64{99}, into: -1, ok: [4]uint16{0, 0, 0, uint16(unix.EBADF)}, skip: 3}
			return []op{bad, say(pr, "went on"), exit(0)}
		}, "went on", 2, 0},
		{"stops at others", func(pr *Program) []op {
			return []op{{nr: unix.SYS_CLOSE, arg: [6]uint64{99}, into: -1, ok: [4]uint16{uint16(unix.EPERM)}}, say(pr, "never")}
		}, "", 0, unix.EBADF},
		{"fails on purpose", func(pr *Program) []op {
			return []op{say(pr, "x"), {kind: opFail, want: uint64(unix.ENOENT), into: -1}, say(pr, "never")}
		}, "x", 1, unix.ENOENT},
		{"checks results", func(pr *Program) []op {
			o := say(pr, "abc")
			o.kind, o.want = opMust, 4
			return []op{o, say(pr, "never")}
		}, "abc", 0, unix.EIO},
		{"keeps descriptors", func(pr *Program) []op {
			dup := op{nr: unix.SYS_DUP, arg: [6]uint64{1}, into: 77}
			to77 := say(pr, "kept")
			to77.arg[0] = 77
			return []op{dup, to77, exit(0)}
		}, "kept", 2, 0},
		{"skips on success only", func(pr *Program) []op {
			good := op{nr: unix.SYS_GETPID, into: -1, skip: 1}
			return []op{good, say(pr, "never"), say(pr, "after"), exit(0)}
		}, "after", 3, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pr := &Program{plan: &plan.Plan{}}
			pr.ops = tt.ops(pr)
			pr.steps = make([]uint16, len(pr.ops))
			out, op, errno := runImage(t, pr)
			if out != tt.out || op != tt.op || errno != tt.errno {
				t.Errorf("printed %q, stopped at op %d with %v; want %q, %d, %v", out, op, errno, tt.out, tt.op, tt.errno)
			}
		})
	}
}

func say(pr *Program, s string) op {
	return op{nr: unix.SYS_WRITE, arg: [6]uint64{1, uint64(pr.put(s)), uint64(len(s))}, addrs: 2, into: -1}
}

func exit(code uint64) op {
	return op{nr: unix.SYS_EXIT_GROUP, arg: [6]uint64{code}, into: -1}
}

// runImage runs a program in no namespaces and returns what it printed and reported.
func runImage(t *testing.T, pr *Program) (out string, op int, errno syscall.Errno) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image")
	text, data := pr.encode()
	image := append(append([]byte{}, text...), make([]byte, dataOffset-len(text))...)
	if err := os.WriteFile(file, append(image, bytes.Join(data[:], nil)...), 0o755); err != nil {
		t.Fatal(err)
	}
	report, err := makeReport("")
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{pr: pr, told: report, sync: -1}
	defer p.release()
	printed, err := os.Create(file + ".out")
	if err != nil {
		t.Fatal(err)
	}
	defer printed.Close()
	table := make([]uintptr, plan.Report.FD()+1)
	for i := range table {
		table[i] = ^uintptr(0)
	}
	table[1], table[2], table[plan.Report.FD()] = printed.Fd(), os.Stderr.Fd(), report.Fd()
	argv := []string{file}
	if e := os.Getenv(emulator); e != "" {
		argv = []string{e, file}
	}
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Files: table})
	if err != nil {
		t.Fatal(err)
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(pid, &ws, 0, nil); err != nil {
		t.Fatal(err)
	}
	if ws.Signaled() {
		t.Fatalf("killed by %v", ws.Signal())
	}
	got, err := os.ReadFile(file + ".out")
	if err != nil {
		t.Fatal(err)
	}
	return string(got), p.report(reportOp), syscall.Errno(p.report(reportErrno))
}

// The interpreter of the other architecture, under an emulator.
func TestImageAloneArm64(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("runs on amd64, for arm64")
	}
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skip("needs Debian's qemu-user-static: ", err)
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go tool: ", err)
	}
	binary := filepath.Join(t.TempDir(), "launch.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	cmd := exec.Command(qemu, binary, "-test.run", "^TestImageAlone$", "-test.v")
	cmd.Env = append(os.Environ(), emulator+"="+qemu)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestImageAlone") {
		t.Errorf("%v\n%s", err, out)
	}
}
