package oci

import (
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// notification and answer are struct seccomp_notif and seccomp_notif_resp; seccomp_unotify(2).
type (
	notification struct {
		id         uint64
		pid, flags uint32
		nr         int32
		arch       uint32
		ip         uint64
		args       [6]uint64
	}
	answer struct {
		id    uint64
		val   int64
		errno int32
		flags uint32
	}
)

const (
	ioctlReceive = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	ioctlSend    = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
	goOn         = 1          // SECCOMP_USER_NOTIF_FLAG_CONTINUE
)

// agent answers the calls that filters hand to it: mkdir(2) fails in a way
// that nothing else fails in, the rest goes on.
type agent struct {
	t      *testing.T
	socket string
	wait   sync.WaitGroup

	mu     sync.Mutex
	states []specs.ContainerProcessState
	calls  map[int32]int
}

func newAgent(t *testing.T) *agent {
	t.Helper()
	a := &agent{t: t, socket: filepath.Join(t.TempDir(), "agent"), calls: map[int32]int{}}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: a.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	a.wait.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			a.receive(c)
		}
	})
	t.Cleanup(func() { l.Close(); a.wait.Wait() })
	return a
}

func (a *agent) receive(c *net.UnixConn) {
	defer c.Close()
	buf, oob := make([]byte, 8192), make([]byte, 512)
	n, oobn, _, _, err := c.ReadMsgUnix(buf, oob)
	if err != nil {
		a.t.Error(err)
		return
	}
	var s specs.ContainerProcessState
	if err := json.Unmarshal(buf[:n], &s); err != nil {
		a.t.Errorf("%q: %v", buf[:n], err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 {
		a.t.Errorf("%d control messages, %v", len(msgs), err)
		return
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		a.t.Errorf("%d descriptors, %v", len(fds), err)
		return
	}
	a.mu.Lock()
	a.states = append(a.states, s)
	a.mu.Unlock()
	a.wait.Go(func() { a.serve(fds[0]) })
}

func (a *agent) serve(fd int) {
	defer unix.Close(fd)
	for {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(p, -1); errors.Is(err, unix.EINTR) {
			continue
		}
		if p[0].Revents&unix.POLLHUP != 0 { // the last process with the filter is gone
			return
		}
		if p[0].Revents&unix.POLLIN == 0 { // POLLERR: a signal came while the kernel waited for the filter's lock
			continue
		}
		var n notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlReceive, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue
		}
		a.mu.Lock()
		a.calls[n.nr]++
		a.mu.Unlock()
		r := answer{id: n.id, flags: goOn}
		const oldMkdir = 83 // of amd64; arm64 has mkdirat(2) only
		if n.nr == unix.SYS_MKDIRAT || runtime.GOARCH == "amd64" && n.nr == oldMkdir {
			r = answer{id: n.id, errno: -int32(unix.ENOTBLK)}
		}
		for {
			if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlSend, uintptr(unsafe.Pointer(&r))); errno != unix.EINTR {
				break
			}
		}
	}
}

// watched hands system calls of the pod to the agent.
func (p *pod) watched(a *agent, calls ...string) {
	arch := specs.ArchX86_64
	if runtime.GOARCH == "arm64" {
		arch = specs.ArchAARCH64
	}
	p.spec.Linux.Seccomp = &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow, Architectures: []specs.Arch{arch},
		ListenerPath: a.socket, ListenerMetadata: "meta",
		Syscalls: []specs.LinuxSyscall{{Names: calls, Action: specs.ActNotify}},
	}
}

func TestSeccompListener(t *testing.T) {
	for _, nnp := range []bool{true, false} {
		a := newAgent(t)
		p := newPod(t, "mkdir /tmp/x 2>&1; ls -d /proc/self/fd/3 2>&1; sleep 1000")
		p.spec.Process.NoNewPrivileges = nnp
		p.spec.Annotations = map[string]string{"a": "b"}
		// Also what the child calls after the filter is in.
		p.watched(a, "mkdir", "mkdirat", "read", "close", "execve", "capset", "exit_group")
		o := newOutput(t)
		proc := p.create(o)
		if len(a.states) != 1 {
			t.Fatalf("no new privileges %t: %d messages after create", nnp, len(a.states))
		}
		s := a.states[0]
		if s.Version != specs.Version || len(s.Fds) != 1 || s.Fds[0] != "seccompFd" || s.Pid != proc.Pid || s.Metadata != "meta" ||
			s.State.ID != p.id || s.State.Pid != proc.Pid || s.State.Status != specs.StateCreating || s.State.Bundle != p.bundle || s.State.Annotations["a"] != "b" {
			t.Errorf("%+v", s)
		}
		if err := p.Start(t.Context(), p.id); err != nil {
			t.Fatal(err)
		}
		const want = "mkdir: can't create directory '%s': Block device required\n"
		out, code, err := p.exec(p.program("mkdir", "/tmp/y"))
		if out != strings.Replace(want, "%s", "/tmp/y", 1) || code != 1 || err != nil {
			t.Errorf("exec: %q %d %v", out, code, err)
		}
		if len(a.states) != 2 || a.states[1].Pid == proc.Pid || a.states[1].State.Pid != proc.Pid || a.states[1].State.Status != specs.StateRunning {
			t.Errorf("exec: %+v", a.states[1:])
		}
		asleep(t, proc)
		if err := p.Delete(t.Context(), p.id, true); err != nil {
			t.Fatal(err)
		}
		if got := o.text(); !strings.HasPrefix(got, strings.Replace(want, "%s", "/tmp/x", 1)) || strings.Contains(got, "seccomp") {
			t.Errorf("%q", got)
		}
		a.mu.Lock()
		if a.calls[unix.SYS_READ] == 0 || a.calls[unix.SYS_EXECVE] == 0 {
			t.Errorf("calls %v", a.calls)
		}
		a.mu.Unlock()
	}
}

// Run, with a user, an inherited descriptor, and a hook inside.
func TestSeccompListenerRun(t *testing.T) {
	a := newAgent(t)
	p := newPod(t, "mkdir /tmp/x 2>&1; echo $?; cat <&3")
	p.watched(a, "mkdir")
	p.spec.Process.User = specs.User{UID: 1000, GID: 1000}
	p.spec.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "true"}}}}
	extra, err := pipeWith([]byte("three\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	out := p.says(func(r *CreateRequest) { r.Preserve = append(r.Preserve, extra) })
	if !strings.HasSuffix(out, "Block device required\n1\nthree\n") {
		t.Errorf("%q", out)
	}
	if len(a.states) != 2 {
		t.Errorf("%d messages, want one for the container and one for its hook", len(a.states))
	}
}

func TestSeccompListenerErrors(t *testing.T) {
	p := newPod(t, "true")
	p.watched(&agent{socket: "/no/such/agent"}, "mkdir")
	_, _, err := p.run()
	wantError(t, err, "linux.seccomp.listenerPath", "failed to connect with seccomp agent", "/no/such/agent")
	p.watched(&agent{socket: "/no/such/agent"}, "write")
	_, _, err = p.run()
	wantError(t, err, "SCMP_ACT_NOTIFY cannot be used for the write syscall")
}
