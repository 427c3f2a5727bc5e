package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal joins the caller's terminal to the container's.
type terminal struct {
	master *os.File
	old    *term.State
	done   chan struct{}
}

// serve makes the caller's terminal raw and copies both ways.
func (t *terminal) serve(master *os.File) error {
	t.master = master
	if old, err := term.MakeRaw(int(os.Stdin.Fd())); err == nil {
		t.old = old
	}
	t.resize()
	t.done = make(chan struct{})
	go func() {
		// It ends when the process does: reading stdin cannot be cut short.
		io.Copy(master, os.Stdin)
	}()
	go func() {
		defer close(t.done)
		io.Copy(os.Stdout, master) // ends with EIO when the last process has closed the terminal
	}()
	return nil
}

// resize gives the container's terminal the caller's size.
func (t *terminal) resize() {
	if t.master == nil {
		return
	}
	if ws, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ); err == nil {
		unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, ws)
	}
}

// drain waits for the last output.
func (t *terminal) drain() {
	if t.done != nil {
		<-t.done
	}
}

func (t *terminal) restore() {
	if t.old != nil {
		term.Restore(int(os.Stdin.Fd()), t.old)
		t.old = nil
	}
}
