package oci

import (
	"errors"
	"os"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/runtime/launch"
)

// network is a container's network namespace that is made while the rest is
// planned: of all namespaces it is the one that takes the kernel long, and it
// depends on nothing.
type network struct {
	home *os.File // the runtime's own
	made func() (*os.File, error)
}

// networkAhead begins to make it; nil: that is for the child to do.
func networkAhead(s *specs.Spec) *network {
	home := homeNetwork(s)
	if home == nil {
		return nil
	}
	var ns *os.File
	wait := meanwhile(func() (err error) {
		ns, err = newNetwork(home)
		return err
	})
	// Go lets another processor have what was started last only after a nap, of
	// 50 µs with the kernel's slack: this is to be the last.
	go func() {}()
	return &network{home, func() (*os.File, error) {
		err := wait()
		return ns, err
	}}
}

// close lets go of it: it stays with the child, if there is one.
func (n *network) close() {
	if n == nil {
		return
	}
	if ns, err := n.made(); err == nil {
		ns.Close()
	}
	n.home.Close()
}

// homeNetwork is the runtime's own network if a container's is to be made ahead.
// A namespace belongs to the user namespace of who makes it, and who may not
// come back to its own network had better stay there.
func homeNetwork(s *specs.Spec) *os.File {
	if !makesNamespace(s, specs.NetworkNamespace) || hasNamespace(s, specs.UserNamespace) {
		return nil
	}
	home, err := ownNetwork()
	if err != nil {
		return nil
	}
	if err := into(home)(); err != nil {
		home.Close()
		return nil
	}
	return home
}

// newNetwork makes a network namespace whose loopback is up.
func newNetwork(home *os.File) (ns *os.File, err error) {
	err = inNetwork(home, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return launch.Refused("new network namespace", os.NewSyscallError("unshare", err))
		}
		return nil
	}, func() error {
		if err := kernel.RaiseLoopback(); err != nil {
			return err
		}
		ns, err = ownNetwork()
		return err
	})
	if err != nil && ns != nil { // there is no way back
		ns.Close()
		ns = nil
	}
	return ns, err
}

// ownNetwork is the network namespace that the thread is in. A socket is asked
// for it, since Linux 4.9: files of /proc take five times as long, and those of
// /proc/self are of the first thread.
func ownNetwork() (*os.File, error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	fd, err := unix.IoctlRetInt(s, unix.SIOCGSKNS)
	if err != nil {
		return nil, os.NewSyscallError("ioctl SIOCGSKNS", err)
	}
	return os.NewFile(uintptr(fd), "network namespace"), nil
}

// into enters a network namespace.
func into(ns *os.File) func() error {
	return func() error { return os.NewSyscallError("setns", unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)) }
}

// inNetwork takes a thread into another network namespace, for do only, and
// back home. One that cannot come back is not used again. kernel.Apart would be
// simpler, but may end the thread that has made a container's process, which is
// what that one's parent-death signal waits for. It is never the first thread:
// that one is what /proc/self shows, to everybody.
func inNetwork(home *os.File, enter, do func() error) error {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		defer runtime.UnlockOSThread()
		done := make(chan error)
		go func() { done <- inNetwork(home, enter, do) }() // not on this one while we hold it
		return <-done
	}
	if err := enter(); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err := do()
	if berr := into(home)(); berr != nil {
		return errors.Join(err, berr)
	}
	runtime.UnlockOSThread()
	return err
}
