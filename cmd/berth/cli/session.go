package cli

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/berth-engine/berth/cmd/berth/tty"
	"github.com/berth-engine/berth/engine"
	"github.com/berth-engine/berth/engine/detach"
)

// sessionOptions say what of the client's terminal a command uses.
type sessionOptions struct {
	in, out, err bool
	tty          bool   // the container's side is a terminal
	proxy        bool   // hand signals on
	keys         string // --detach-keys; "" is config.json's, then docker's
}

// session is the client's end of an attached process. close must be called on
// every way out; it may be called twice.
type session struct {
	app     *app
	o       sessionOptions
	streams engine.Streams
	once    sync.Once
	undo    []func()
}

func (s *session) close() {
	s.once.Do(func() {
		for i := len(s.undo) - 1; i >= 0; i-- {
			s.undo[i]()
		}
	})
}

// session takes the client's terminal, or its signals.
func (a *app) session(o sessionOptions) (*session, error) {
	s, err := a.prepare(o)
	if err != nil {
		return nil, err
	}
	return s, s.open()
}

// prepare checks what can be checked before open.
func (a *app) prepare(o sessionOptions) (*session, error) {
	keys, err := a.detachKeys(o.keys)
	if err != nil {
		return nil, exit{codeEngine, err}
	}
	if o.in && o.tty && !tty.IsTerminal(a.In) {
		return nil, exit{1, errors.New("the input device is not a TTY")}
	}
	s := &session{app: a, o: o}
	if o.in {
		s.streams.In, s.streams.Keys = a.In, keys
	}
	if o.out {
		s.streams.Out = a.Out
	}
	if o.err {
		s.streams.Err = a.Err
	}
	return s, nil
}

func (s *session) open() (err error) {
	if s.o.tty {
		err = s.terminal()
	} else if s.o.proxy {
		err = s.proxySignals()
	}
	if err != nil {
		s.close()
		return exit{codeEngine, err}
	}
	return nil
}

// terminal makes the client's terminal transparent and follows its size. A
// signal that would kill us restores it first; the container goes on.
func (s *session) terminal() error {
	a := s.app
	if tty.IsTerminal(a.Out) {
		if size, ok := tty.SizeOf(a.Out); ok {
			s.streams.First = engine.Size(size)
		}
		sizes, stop := tty.Sizes(a.Out)
		s.undo = append(s.undo, stop)
		s.streams.Sizes = convert(sizes)
	}
	if !s.o.in {
		return nil
	}
	restore, err := tty.Raw(a.In)
	if err != nil {
		return fmt.Errorf("set the terminal to raw mode: %w", err)
	}
	s.undo = append(s.undo, restore)
	deadly := make(chan os.Signal, 1)
	signal.Notify(deadly, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case sig := <-deadly:
			restore()
			if n, ok := sig.(syscall.Signal); ok {
				os.Exit(128 + int(n))
			}
			os.Exit(codeEngine)
		case <-done:
		}
	}()
	s.undo = append(s.undo, func() { signal.Stop(deadly); close(done) })
	return nil
}

func convert(in <-chan tty.Size) <-chan engine.Size {
	out := make(chan engine.Size)
	go func() {
		defer close(out)
		for s := range in {
			out <- engine.Size(s)
		}
	}()
	return out
}

func (s *session) proxySignals() error {
	signals, forced, err := tty.Proxied()
	if err != nil {
		return err
	}
	s.streams.Signals = signals
	done := make(chan struct{})
	go func() {
		select {
		case <-forced:
			fmt.Fprintf(s.app.Err, "got %d SIGTERM/SIGINTs, forcefully exiting\n", tty.ForcedExit)
			os.Exit(1)
		case <-done:
		}
	}()
	s.undo = append(s.undo, func() { close(done) })
	return nil
}

// detachKeys are those of the flag, of config.json, or docker's.
func (a *app) detachKeys(flag string) ([]byte, error) {
	if flag == "" {
		flag = a.clientConfig().DetachKeys
	}
	if flag == "" {
		flag = detach.Default
	}
	return detach.Parse(flag)
}
