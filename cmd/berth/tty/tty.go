// Package tty holds the client's end of a container's terminal.
//
//	t := tty.Open(os.Stdin, os.Stdout)
//	restore, err := t.Raw()
//	defer restore()
//	sizes, stop := t.Sizes()
//
// It knows the terminal and the signals of this process, and nothing of
// containers.
package tty

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/term"
)

// Size of a terminal in characters.
type Size struct{ Rows, Cols uint16 }

// IsTerminal reports whether f is a terminal.
func IsTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// Raw puts f into raw mode. restore may be called more than once, from any
// goroutine, and must be called on every way out of the process.
func Raw(f *os.File) (restore func(), err error) {
	old, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return func() {}, err
	}
	var once sync.Once
	return func() { once.Do(func() { _ = term.Restore(int(f.Fd()), old) }) }, nil
}

// SizeOf reads the size of terminal f.
func SizeOf(f *os.File) (Size, bool) {
	cols, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || cols <= 0 || rows <= 0 {
		return Size{}, false
	}
	return Size{Rows: uint16(rows), Cols: uint16(cols)}, true
}

// Sizes gives the present size of f and every later one. A reader that is
// slow sees the newest only. stop ends it and closes the channel.
func Sizes(f *os.File) (sizes <-chan Size, stop func()) {
	out := make(chan Size, 1)
	winch := make(chan os.Signal, 1)
	signal.Notify(winch, syscall.SIGWINCH)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer close(out)
		for {
			if s, ok := SizeOf(f); ok {
				replace(out, s)
			}
			select {
			case <-winch:
			case <-quit:
				return
			}
		}
	}()
	var once sync.Once
	return out, func() {
		once.Do(func() { signal.Stop(winch); close(quit) })
		<-done
	}
}

func replace(out chan Size, s Size) {
	for {
		select {
		case out <- s:
			return
		case <-out:
		}
	}
}
