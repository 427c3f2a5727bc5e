package seccomp

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The test binary starts itself with one of these in its environment, puts
// itself under a filter and says what the kernel answers.
const childEnv = "BERTH_SECCOMP_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "probe":
		os.Exit(probe())
	case "x32":
		os.Exit(callX32())
	case "act":
		os.Exit(act())
	case "long":
		os.Exit(installLong())
	}
}

// A question is a system call whose answer shows what the filter thinks. All
// would fail or do nothing without it.
type question struct {
	Name string
	nr   uintptr
	args [4]uintptr
	want unix.Errno
}

const badFD = 1 << 20

var questions = []question{
	{"getpid", unix.SYS_GETPID, [4]uintptr{}, 0},
	{"keyctl", unix.SYS_KEYCTL, [4]uintptr{}, unix.EPERM},
	{"add_key", unix.SYS_ADD_KEY, [4]uintptr{}, unix.EPERM},
	{"request_key", unix.SYS_REQUEST_KEY, [4]uintptr{}, unix.EPERM},
	{"io_uring_setup", unix.SYS_IO_URING_SETUP, [4]uintptr{}, unix.EPERM},
	{"userfaultfd", unix.SYS_USERFAULTFD, [4]uintptr{1 << 31}, unix.EPERM},
	{"bpf", unix.SYS_BPF, [4]uintptr{}, unix.EPERM},
	{"mount", unix.SYS_MOUNT, [4]uintptr{}, unix.EPERM},
	{"setns", unix.SYS_SETNS, [4]uintptr{badFD}, unix.EPERM},
	{"unshare nothing", unix.SYS_UNSHARE, [4]uintptr{}, unix.EPERM},
	{"clone NEWUSER", unix.SYS_CLONE, [4]uintptr{unix.CLONE_NEWUSER | unix.CLONE_NEWPID}, unix.EPERM},
	{"clone3", unix.SYS_CLONE3, [4]uintptr{}, unix.ENOSYS},
	{"socket unix", unix.SYS_SOCKET, [4]uintptr{unix.AF_UNIX, 0xff}, unix.EINVAL},
	{"socket alg", unix.SYS_SOCKET, [4]uintptr{unix.AF_ALG, 0xff}, unix.EPERM},
	{"socket vsock", unix.SYS_SOCKET, [4]uintptr{unix.AF_VSOCK, 0xff}, unix.EPERM},
	{"socket vsock with a high bit", unix.SYS_SOCKET, [4]uintptr{1<<40 | unix.AF_VSOCK, 0xff}, unix.EPERM},
	{"personality ask", unix.SYS_PERSONALITY, [4]uintptr{0xffffffff}, 0},
	{"personality", unix.SYS_PERSONALITY, [4]uintptr{0x00400000}, unix.EPERM},
	{"ioctl TIOCGWINSZ", unix.SYS_IOCTL, [4]uintptr{badFD, unix.TIOCGWINSZ}, unix.EBADF},
	{"ioctl TIOCSTI", unix.SYS_IOCTL, [4]uintptr{badFD, unix.TIOCSTI}, unix.EPERM},
	{"ioctl TIOCSTI with a high bit", unix.SYS_IOCTL, [4]uintptr{badFD, 1<<40 | unix.TIOCSTI}, unix.EPERM},
	{"file_getattr", unix.SYS_FILE_GETATTR, [4]uintptr{badFD}, unix.ENOSYS},
	{"a call of the future", 999, [4]uintptr{}, unix.ENOSYS},
}

func TestDefaultInKernel(t *testing.T) {
	out, err := child(t, "probe").Output()
	if err != nil {
		t.Fatalf("the child: %v, %s", err, out)
	}
	got := map[string]string{}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	want := map[string]string{"run a program": "<nil>"}
	for _, q := range questions {
		want[q.Name] = q.want.Error()
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestX32IsKilled(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("x32 is an ABI of amd64")
	}
	err := child(t, "x32").Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("the child: %v, want death by SIGSYS", err)
	}
	if ws := exit.Sys().(interface{ Signal() unix.Signal }); ws.Signal() != unix.SIGSYS {
		t.Errorf("the child: %v, want death by SIGSYS", err)
	}
}

func TestLongFilterInKernel(t *testing.T) {
	if out, err := child(t, "long").CombinedOutput(); err != nil {
		t.Errorf("the child: %v: %s", err, out)
	}
}

func child(t *testing.T, what string) *exec.Cmd {
	t.Helper()
	if _, ok := machineOf(runtime.GOARCH); !ok {
		t.Skip("no table for " + runtime.GOARCH)
	}
	if _, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err != nil {
		t.Skipf("the kernel has no seccomp: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+what)
	cmd.Stderr = nil
	return cmd
}

// probe answers all questions under the default filter.
func probe() int {
	if err := install(Default(Host{Arch: runtime.GOARCH, Kernel: [2]int{5, 0}})); err != nil {
		fmt.Println(err)
		return 1
	}
	answers := map[string]string{}
	for _, q := range questions {
		_, _, e := unix.RawSyscall6(q.nr, q.args[0], q.args[1], q.args[2], q.args[3], 0, 0)
		answers[q.Name] = e.Error()
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{childEnv + "=nothing"}
	answers["run a program"] = fmt.Sprint(cmd.Run())
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		return 1
	}
	return 0
}

func callX32() int {
	if err := install(Default(Host{Arch: runtime.GOARCH})); err != nil {
		fmt.Println(err)
		return 1
	}
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	unix.RawSyscall(x32Bit|unix.SYS_GETPID, 0, 0, 0)
	return 0
}

// installLong sees whether the kernel takes a filter with far jumps, and works
// under it.
func installLong() int {
	p := long(300)
	for i := range syscalls {
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{
			Names: []string{syscalls[i].name}, Action: specs.ActErrno,
			Args: []specs.LinuxSeccompArg{{Index: 5, Value: uint64(i)<<33 | 0xdead, Op: specs.OpEqualTo}},
		})
	}
	if err := install(p); err != nil {
		fmt.Println(err)
		return 1
	}
	_, _, e := unix.RawSyscall6(unix.SYS_MOUNT, 0, 0, 0, 0, 250<<33|1, 0)
	if e != unix.EPERM {
		fmt.Println("mount:", e)
		return 1
	}
	return 0
}

// install puts the whole process under the filter of p.
func install(p *specs.LinuxSeccomp) error {
	f, err := Compile(p, runtime.GOARCH)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(f.Prog)), Filter: (*unix.SockFilter)(unsafe.Pointer(&f.Prog[0]))}
	const tsync = 1 // all threads of the Go runtime
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(f.Flags|tsync), uintptr(unsafe.Pointer(&prog)))
	if e != 0 {
		return e
	}
	return nil
}
