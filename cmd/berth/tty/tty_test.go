package tty

import (
	"syscall"
	"testing"
	"time"
)

func TestRelay(t *testing.T) {
	in, out := make(chan syscall.Signal, 16), make(chan syscall.Signal, 16)
	force, quit := make(chan struct{}), make(chan struct{})
	done := make(chan struct{})
	go func() { defer close(done); relay(in, out, force, quit) }()
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGINT, syscall.SIGTERM, syscall.SIGINT} {
		in <- s
	}
	for _, want := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGINT, syscall.SIGTERM, syscall.SIGINT} {
		select {
		case got := <-out:
			if got != want {
				t.Fatalf("got %v, want %v", got, want)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("no %v", want)
		}
	}
	select {
	case <-force:
	case <-time.After(5 * time.Second):
		t.Fatal("three interrupts do not force the exit")
	}
	close(quit)
	<-done
}

func TestNotProxied(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGCHLD, syscall.SIGPIPE, syscall.SIGURG, syscall.SIGWINCH, syscall.SIGTTIN, syscall.SIGTTOU} {
		if proxied(s) {
			t.Errorf("%v would be handed on", s)
		}
	}
}

func TestReplaceKeepsNewest(t *testing.T) {
	c := make(chan Size, 1)
	replace(c, Size{1, 1})
	replace(c, Size{2, 2})
	if got := <-c; got != (Size{2, 2}) {
		t.Fatalf("got %v", got)
	}
}
