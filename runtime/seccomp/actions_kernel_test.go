package seccomp

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestActionsInKernel sees each action happen to getpgid(0).
func TestActionsInKernel(t *testing.T) {
	for _, tt := range []struct {
		action specs.LinuxSeccompAction
		errno  string
		want   string // of the child: what it printed, or how it ended
	}{
		{specs.ActAllow, "", "own group"},
		{specs.ActLog, "", "own group"},
		{specs.ActErrno, "", "errno 1"},
		{specs.ActErrno, "0", "returned 0"},
		{specs.ActErrno, "77", "errno 77"},
		{specs.ActErrno, "4095", "errno 4095"},
		{specs.ActTrace, "7", "errno 38"}, // there is no tracer
		{specs.ActNotify, "", "errno 99"}, // so says the supervisor
		{specs.ActTrap, "", "a signal to catch"},
		{specs.ActKillThread, "", "thread gone"},
		{specs.ActKill, "", "thread gone"},
		{specs.ActKillProcess, "", "signal: bad system call"},
	} {
		t.Run(strings.TrimSuffix(fmt.Sprint(tt.action, " ", tt.errno), " "), func(t *testing.T) {
			cmd := child(t, "act")
			cmd.Env = append(cmd.Env, actionEnv+"="+string(tt.action), errnoEnv+"="+tt.errno)
			out, err := cmd.CombinedOutput()
			got := strings.TrimSpace(string(out))
			switch exit, _ := err.(*exec.ExitError); {
			case exit != nil && exit.ExitCode() < 0:
				got = strings.TrimSuffix(exit.String(), " (core dumped)")
			case exit != nil && strings.HasPrefix(got, "SIGSYS: "): // Go's runtime caught it
				got = "a signal to catch"
			}
			if got != tt.want {
				t.Errorf("got %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

const (
	actionEnv = "BERTH_SECCOMP_ACTION"
	errnoEnv  = "BERTH_SECCOMP_ERRNO"
)

// act puts one thread under a filter and lets it make the call.
func act() int {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	rule := specs.LinuxSyscall{Names: []string{"getpgid"}, Action: specs.LinuxSeccompAction(os.Getenv(actionEnv))}
	if e := os.Getenv(errnoEnv); e != "" {
		rule.ErrnoRet = new(uint)
		fmt.Sscan(e, rule.ErrnoRet)
	}
	f, err := Compile(&specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow, ListenerPath: "/run/listener", Syscalls: []specs.LinuxSyscall{rule},
		Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagWaitKillableRecv},
	}, runtime.GOARCH)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	group := uintptr(unix.Getpgrp()) // which is getpgid(0) in Go
	tid, answer := make(chan int), make(chan string)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with us
		listener, err := installOnThread(f)
		if err != nil {
			answer <- err.Error()
			return
		}
		if f.NotifyUsed {
			go supervise(listener)
		}
		tid <- unix.Gettid()
		r, _, e := unix.Syscall(unix.SYS_GETPGID, 0, 0, 0) // a raw one would take a processor of Go along
		answer <- describe(r, e, group)
	}()
	select {
	case text := <-answer:
		fmt.Println(text)
		return 1
	case id := <-tid:
		fmt.Println(watch(id, answer))
	}
	return 0
}

// watch waits for the answer or for the end of the thread.
func watch(tid int, answer chan string) string {
	for {
		select {
		case text := <-answer:
			return text
		default:
		}
		// The first thread of a process remains as a zombie.
		text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", tid))
		if err != nil || strings.Contains(string(text), "State:\tZ") {
			return "thread gone"
		}
		time.Sleep(time.Millisecond)
	}
}

func describe(r uintptr, e unix.Errno, group uintptr) string {
	switch {
	case e != 0:
		return fmt.Sprint("errno ", int(e))
	case int(r) == -maxErrno: // Go takes it for a result
		return fmt.Sprint("errno ", maxErrno)
	case r == group:
		return "own group"
	}
	return fmt.Sprint("returned ", r)
}

func installOnThread(f *Filter) (listener int, err error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	prog := unix.SockFprog{Len: uint16(len(f.Prog)), Filter: (*unix.SockFilter)(unsafe.Pointer(&f.Prog[0]))}
	fd, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(f.Flags), uintptr(unsafe.Pointer(&prog)))
	if e != 0 {
		return 0, fmt.Errorf("seccomp with flags %#x: %w", f.Flags, e)
	}
	return int(fd), nil
}

// supervise answers one call with errno 99. linux/seccomp.h.
func supervise(listener int) {
	const recv, send = 0xc0502100, 0xc0182101
	var call struct {
		id         uint64
		pid, flags uint32
		data       Data
	}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), recv, uintptr(unsafe.Pointer(&call))); e != 0 {
		fmt.Println("receive:", e)
		os.Exit(1)
	}
	reply := struct {
		id    uint64
		val   int64
		error int32
		flags uint32
	}{id: call.id, error: -99}
	if call.data.Nr != unix.SYS_GETPGID {
		reply.error = -98
	}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), send, uintptr(unsafe.Pointer(&reply))); e != 0 {
		fmt.Println("send:", e)
		os.Exit(1)
	}
}
