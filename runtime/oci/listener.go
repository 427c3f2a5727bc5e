package oci

import (
	"encoding/json"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/launch"
)

// handListener takes the listener of a filter out of the child that has just
// installed it, and gives it to the agent at the profile's listenerPath: one
// message on a stream socket, the process's state as JSON with the descriptor
// (config-linux.md, "The Container Process State"). Until the agent has it,
// a trapped call of the child waits.
func handListener(child *launch.Process, number int, profile *specs.LinuxSeccomp, s specs.State) error {
	fd, err := unix.PidfdGetfd(int(child.Pidfd.Fd()), number, 0)
	if err != nil {
		return fault.Op("take seccomp listener", "", os.NewSyscallError("pidfd_getfd", err))
	}
	defer unix.Close(fd)
	text, err := json.Marshal(specs.ContainerProcessState{
		Version: specs.Version, Fds: []string{specs.SeccompFdName}, Pid: child.Pid,
		Metadata: profile.ListenerMetadata, State: s,
	})
	if err != nil {
		return err
	}
	if err := sendDescriptor(profile.ListenerPath, text, fd); err != nil {
		return fault.New(fault.Invalid, "linux.seccomp.listenerPath: failed to connect with seccomp agent %s: %w", profile.ListenerPath, err)
	}
	return nil
}

// sendDescriptor sends data, and with its first byte a descriptor, to whoever
// listens on a socket of the machine.
func sendDescriptor(path string, data []byte, fd int) error {
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(sock)
	if err := unix.Connect(sock, &unix.SockaddrUnix{Name: path}); err != nil {
		return os.NewSyscallError("connect", err)
	}
	rights := unix.UnixRights(fd)
	for len(data) > 0 {
		n, err := unix.SendmsgN(sock, data, rights, nil, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("sendmsg", err)
		}
		data, rights = data[n:], nil
	}
	return nil
}
