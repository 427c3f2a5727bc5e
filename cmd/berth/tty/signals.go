package tty

import (
	"os"
	"os/signal"
	"syscall"
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
// that ended its container. It begins a moment after the call, since telling
// the kernel of 60 signals takes as long as much of a container's start.
func Proxied() (signals <-chan syscall.Signal, forced <-chan struct{}) {
	in := make(chan os.Signal, 128)
	out, force := make(chan syscall.Signal, 128), make(chan struct{})
	go func() {
		signal.Notify(in)
		relay(in, out, force, nil)
	}()
	return out, force
}

func relay(in <-chan os.Signal, out chan<- syscall.Signal, force chan<- struct{}, quit <-chan struct{}) {
	interrupts := 0
	for {
		select {
		case <-quit:
			return
		case s := <-in:
			n, ok := s.(syscall.Signal)
			if !ok || !proxied(n) {
				continue
			}
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
