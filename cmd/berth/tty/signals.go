package tty

import (
	"os"
	"slices"
	"syscall"

	"github.com/berth-engine/berth/internal/sigpipe"
)

// ForcedExit is the number of interrupts after which a client that proxies
// signals gives up on its container and ends.
const ForcedExit = 3

// Proxied starts catching all signals that a client hands on to its container:
// all that can be caught, without those that concern the client alone (a
// child's end, a broken pipe, Go's own preemption, the window's size, and the
// job control that a shell uses to stop and continue us).
//
// forced is closed by the third SIGINT or SIGTERM. The catching goes on until
// the process ends: a client that cleans up is not to be killed by the signal
// that ended its container. It is for once in a program.
func Proxied() (signals <-chan syscall.Signal, forced <-chan struct{}, err error) {
	pipe, err := sigpipe.Catch(slices.DeleteFunc(sigpipe.All(), func(n syscall.Signal) bool { return !proxied(n) })...)
	if err != nil {
		return nil, nil, err
	}
	in, out, force := make(chan syscall.Signal, 128), make(chan syscall.Signal, 128), make(chan struct{})
	go read(os.NewFile(uintptr(pipe), "signals"), in)
	go relay(in, out, force, nil)
	return out, force, nil
}

// read turns the bytes of a pipe into signals.
func read(pipe *os.File, in chan<- syscall.Signal) {
	var room [64]byte
	for {
		n, err := pipe.Read(room[:])
		if err != nil {
			return
		}
		for _, b := range room[:n] {
			in <- syscall.Signal(b)
		}
	}
}

func relay(in <-chan syscall.Signal, out chan<- syscall.Signal, force chan<- struct{}, quit <-chan struct{}) {
	interrupts := 0
	for {
		select {
		case <-quit:
			return
		case n := <-in:
			if n == syscall.SIGINT || n == syscall.SIGTERM {
				if interrupts++; interrupts == ForcedExit {
					close(force)
				}
			}
			select {
			case out <- n:
			case <-quit:
				return
			}
		}
	}
}

func proxied(n syscall.Signal) bool {
	switch n {
	case syscall.SIGCHLD, syscall.SIGPIPE, syscall.SIGURG, syscall.SIGWINCH:
		return false
	case syscall.SIGTTIN, syscall.SIGTTOU:
		return false
	}
	return true
}
