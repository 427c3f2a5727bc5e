package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/cmd/berth/format"
	"github.com/berth-engine/berth/cmd/berth/tty"
	"github.com/berth-engine/berth/engine"
	"github.com/berth-engine/berth/internal/fault"
)

// Stdio is what a command reads and writes.
type Stdio struct{ In, Out, Err *os.File }

// app is one run of the command line.
type app struct {
	Stdio
	version string
	commit  string
	ctx     context.Context

	root, state, logLevel, config string
	debug, showsVersion           bool
	host                          []string

	engine func() (*engine.Engine, error)
}

func newApp(version string, io Stdio) *app {
	a := &app{Stdio: io, version: version, ctx: context.Background()}
	a.engine = sync.OnceValues(a.open)
	return a
}

func (a *app) open() (*engine.Engine, error) {
	return engine.Open(engine.Config{Root: a.root, State: a.state, Logins: a.config})
}

// setup checks the global flags, once they are parsed.
func (a *app) setup() error {
	if len(a.host) > 0 {
		return fault.New(fault.Unsupported, "-H %s: this version has no daemon to talk to; berth works on this machine only", a.host[0])
	}
	var level slog.Level
	switch a.logLevel {
	case "fatal":
		level = slog.LevelError
	default:
		if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
			return fault.New(fault.Invalid, "--log-level: %q is none of debug, info, warn, error, fatal", a.logLevel)
		}
	}
	return nil
}

// out is standard output for results; foreign text in it is made harmless
// when a person looks at it.
func (a *app) out() io.Writer {
	if tty.IsTerminal(a.Out) {
		return format.Safe(a.Out)
	}
	return a.Out
}

func (a *app) println(s string) error {
	_, err := fmt.Fprintln(a.out(), s)
	return err
}

// warn tells something on standard error.
func (a *app) warn(s string) { fmt.Fprintln(a.Err, "WARNING: "+a.safe(s)) }

// complain prints an error on standard error, one line and more only if the
// error has more.
func (a *app) complain(err error) { fmt.Fprintln(a.Err, "berth: "+a.safe(err.Error())) }

func (a *app) safe(s string) string {
	if tty.IsTerminal(a.Err) {
		return format.Text(s)
	}
	return s
}

// errQuiet makes each pass over a name: it was dealt with.
var errQuiet = errors.New("nothing to say")

// each does fn for every name, goes on after an error, and prints the name as
// it was given when print is set. The command fails when any did.
func (a *app) each(names []string, print bool, fn func(name string) error) error {
	failed := false
	for _, name := range names {
		err := fn(name)
		if errors.Is(err, errQuiet) {
			continue
		}
		if err != nil {
			a.complain(err)
			failed = true
			continue
		}
		if print {
			if err := a.println(name); err != nil {
				return err
			}
		}
	}
	if failed {
		return exit{code: 1}
	}
	return nil
}

// Build says what was built.
type Build struct{ Version, Commit string }

// Main runs one command line and returns the exit code.
func Main(b Build, args []string, io Stdio) int {
	a := newApp(b.Version, io)
	a.commit = b.Commit
	root := a.tree(args)
	root.SetArgs(args)
	root.SetIn(io.In)
	root.SetOut(io.Out)
	root.SetErr(io.Err)
	err := root.ExecuteContext(a.ctx)
	return a.finish(err)
}

// finish reports err and gives its exit code.
func (a *app) finish(err error) int {
	if err == nil {
		return 0
	}
	var e exit
	if !errors.As(err, &e) {
		e = exit{code: 1, err: err}
	}
	if e.err != nil {
		a.complain(e.err)
	}
	return e.code
}

// New returns the tree of commands, for programs that describe it.
func New() *cobra.Command { return newApp("", Stdio{}).tree(nil) }
