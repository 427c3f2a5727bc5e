// Go would read the cgroup's CPU limit at start and watch it, with two files
// of the host kept open. This program does not run long enough to care, and
// descriptors of the host have no place near a container.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Berth-oci runs containers as the OCI runtime specification describes them,
// with the command line of runc.
//
// It is also the process that stands beside each container of the engine:
// `berth-oci monitor`. It holds no secrets and imports little, because it is
// the program that forks payloads.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/cgroup"
	"github.com/berth-engine/berth/runtime/oci"
)

// Both are set by the linker.
var (
	version = "unknown"
	commit  string
)

// app is one run of the program.
type app struct {
	rt      *oci.Runtime
	stdout  io.Writer
	name    string // how we were called
	root    string
	log     logger
	systemd bool
	args    []string // the command's own arguments, flags taken out
	flags   *options
}

// command is one subcommand. Its setup declares flags and returns what runs.
type command struct {
	name, args, short string
	min, max          int  // positional arguments; max < 0: any
	rest              bool // everything after the first positional is the payload's
	setup             func(a *app) func() (int, error)
}

func commands() []command {
	return []command{
		{"create", "ID", "make a container that waits for start", 1, 1, false, cmdCreate},
		{"start", "ID", "run the payload of a created container", 1, 1, false, cmdStart},
		{"run", "ID", "create and start a container", 1, 1, false, cmdRun},
		{"exec", "ID COMMAND [ARG...]", "run a further process in a container", 1, -1, true, cmdExec},
		{"state", "ID", "print the state as JSON", 1, 1, false, cmdState},
		{"kill", "ID [SIGNAL]", "send a signal (default SIGTERM)", 1, 2, false, cmdKill},
		{"delete", "ID", "remove a stopped container", 1, 1, false, cmdDelete},
		{"list", "", "list containers", 0, 0, false, cmdList},
		{"ps", "ID [PS-OPTION...]", "list the processes of a container", 1, -1, true, cmdPs},
		{"pause", "ID", "stop all processes for a while", 1, 1, false, cmdPause},
		{"resume", "ID", "let paused processes go on", 1, 1, false, cmdResume},
		{"events", "ID", "print counters and kills for lack of memory", 1, 1, false, cmdEvents},
		{"update", "ID", "change limits", 1, 1, false, cmdUpdate},
		{"spec", "", "write a default config.json", 0, 0, false, cmdSpec},
		{"explain", "[BUNDLE]", "print what run would do, step by step", 0, 1, false, cmdExplain},
		{"checkpoint", "ID", "write a container to files, with CRIU", 1, 1, false, cmdCheckpoint},
		{"restore", "ID", "make a container of such files, with CRIU", 1, 1, false, cmdRestore},
		{"features", "", "print what this runtime can do, as JSON", 0, 0, false, cmdFeatures},
	}
}

func main() {
	if cgroup.Hold(os.Args) {
		return
	}
	if isInit() {
		os.Exit(initMain(os.Args[1:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "monitor" {
		os.Exit(monitorMain(os.Args[2:]))
	}
	os.Exit(run(os.Args, os.Stdout))
}

func run(argv []string, stdout io.Writer) int {
	a := &app{stdout: stdout, name: filepath.Base(argv[0])}
	global := newOptions("berth-oci", true)
	globals(a, global)
	help := global.BoolP("help", "h", "show this")
	showVersion := global.BoolP("version", "v", "print the version")
	err := global.Parse(argv[1:])
	switch {
	case err != nil && !errors.Is(err, flag.ErrHelp):
		return a.fail(fault.New(fault.Invalid, "%v; see %s --help", err, argv[0]))
	case *help || errors.Is(err, flag.ErrHelp):
		usage(stdout, a.name, global)
		return 0
	case *showVersion:
		printVersion(stdout)
		return 0
	case len(global.Args()) == 0:
		usage(stdout, a.name, global)
		return 0
	}
	if err := a.log.open(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, c := range commands() {
		if c.name == global.Args()[0] {
			return a.command(&c, global.Args()[1:])
		}
	}
	return a.fail(fault.New(fault.Invalid, "No help topic for '%s'", global.Args()[0]))
}

// globals declares the flags that are accepted before the command and, as
// runc does, after it.
func globals(a *app, f *options) {
	f.StringVar(&a.root, "root", defaultString(a.root, defaultRoot()), "directory of the containers' states")
	f.StringVar(&a.log.file, "log", a.log.file, "file for errors and debug lines")
	f.StringVar(&a.log.format, "log-format", defaultString(a.log.format, "text"), "text or json")
	f.BoolVar(&a.log.debug, "debug", a.log.debug, "write debug lines")
	f.BoolVar(&a.systemd, "systemd-cgroup", a.systemd, "cgroups through systemd")
	f.Var(&optional{text: "auto"}, "rootless", "ignored: rights are found out by trying")
}

func defaultString(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func defaultRoot() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && os.Getuid() != 0 {
		return dir + "/berth-oci"
	}
	return "/run/berth-oci"
}

// command parses the command's flags and runs it.
func (a *app) command(c *command, args []string) int {
	f := newOptions(c.name, c.rest)
	globals(a, f)
	a.flags = f
	do := c.setup(a)
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		commandUsage(a.stdout, a.name, c, f)
		return 0
	case err != nil:
		return a.fail(fault.New(fault.Invalid, "%v; see berth-oci %s --help", err, c.name))
	}
	a.args = f.Args()
	if n := len(a.args); n < c.min || c.max >= 0 && n > c.max {
		return a.fail(fault.New(fault.Invalid, "berth-oci %s: %d arguments given; usage: berth-oci %s [OPTION...] %s", c.name, n, c.name, c.args))
	}
	a.rt = &oci.Runtime{Root: a.root, Systemd: a.systemd, Warn: func(err error) { a.log.write("warning", err.Error()) }}
	a.log.plain = c.name == "explain"
	a.log.bare = c.name == "run" || c.name == "exec"
	a.log.debugf("%s %s", c.name, strings.Join(a.args, " "))
	code, err := do()
	if err != nil {
		a.fail(err)
		if code == 0 {
			code = 1
		}
	}
	return code
}

func (a *app) fail(err error) int {
	a.log.fatal(err)
	return 1
}

func usage(w io.Writer, name string, global *options) {
	fmt.Fprintf(w, "NAME:\n   %[1]s - Open Container Initiative runtime\n\nUSAGE:\n   %[1]s [GLOBAL OPTION...] COMMAND [OPTION...] [ARG...]\n\nCOMMANDS:\n", name)
	for _, c := range commands() {
		fmt.Fprintf(w, "   %-10s %s\n", c.name, c.short)
	}
	fmt.Fprintf(w, "\nGLOBAL OPTIONS:\n%s", global.Help())
}

func commandUsage(w io.Writer, name string, c *command, f *options) {
	fmt.Fprintf(w, "NAME:\n   %[1]s %[2]s - %[3]s\n\nUSAGE:\n   %[1]s %[2]s [OPTION...] %[4]s\n\nOPTIONS:\n%[5]s", name, c.name, c.short, c.args, f.Help())
}

// logger writes errors the way runc does, for the programs that read them.
type logger struct {
	file, format string
	debug        bool
	plain        bool // for people: no time, no level
	bare         bool // see plainLine
	out          *os.File
}

func (l *logger) open() error {
	if l.format != "text" && l.format != "json" {
		return fault.New(fault.Invalid, "unknown log format %q: text and json are known", l.format)
	}
	if l.file == "" {
		return nil
	}
	f, err := os.OpenFile(l.file, os.O_WRONLY|os.O_CREATE|os.O_APPEND|os.O_SYNC, 0o644)
	l.out = f
	return err
}

func (l *logger) debugf(format string, args ...any) {
	if l.debug {
		l.write("debug", fmt.Sprintf(format, args...))
	}
}

// write logs one line: to the log file, or to stderr without one.
func (l *logger) write(level, msg string) {
	out := l.out
	if out == nil {
		out = os.Stderr
	}
	now := time.Now().Format(time.RFC3339)
	if l.format == "json" {
		fmt.Fprintf(out, "{\"level\":%q,\"msg\":%s,\"time\":%q}\n", level, jsonString(msg), now)
		return
	}
	fmt.Fprintf(out, "time=%q level=%s msg=%q\n", now, level, msg)
}

// fatal logs an error; when the log is a file, stderr has it plainly.
func (l *logger) fatal(err error) {
	switch line := plainLine(err); {
	case l.out != nil:
		l.write("error", err.Error())
		fmt.Fprintln(os.Stderr, err)
	case l.bare && line != "":
		fmt.Fprintln(os.Stderr, line)
	case l.plain:
		fmt.Fprintln(os.Stderr, "berth-oci:", err)
	default:
		l.write("error", err.Error())
	}
}
