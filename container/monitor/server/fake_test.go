package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
)

// TestMain makes the test binary serve as the monitor, and as some payloads.
func TestMain(m *testing.M) {
	quietFor = time.Second
	if len(os.Args) > 1 && os.Args[1] == "monitor" {
		os.Exit(monitorMain(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "lines" {
		n, _ := strconv.Atoi(os.Args[2])
		printLines(n)
		syscall.Exit(0) // os.Exit adds a line when coverage is counted
	}
	os.Exit(m.Run())
}

func printLines(n int) {
	w := make([]byte, 0, 64<<10)
	for i := range n {
		w = fmt.Appendf(w, "%09d %s\n", i, strings.Repeat("x", 90))
		if len(w) > 60<<10 || i == n-1 {
			os.Stdout.Write(w)
			w = w[:0]
		}
	}
}

func monitorMain(args []string) int {
	runtime.LockOSThread()
	dir := args[len(args)-1]
	cfg, err := monitor.ReadConfig(dir)
	switch {
	case err != nil:
	case args[0] == RenewFlag:
		err = Renew(cfg, &fake{dir: dir}, args[1])
	case args[0] == "--adopt":
		err = Adopt(cfg, &fake{dir: dir}, os.NewFile(monitor.FirstFD, "first"))
	default:
		err = Run(cfg, &fake{dir: dir}, os.NewFile(monitor.FirstFD, "first"))
	}
	if err != nil {
		_ = os.WriteFile(filepath.Join(dir, "monitor.error"), []byte(err.Error()), 0o600)
		return 1
	}
	return 0
}

// payload is what the fake runtime runs: fake.json in the bundle directory.
type payload struct {
	Args      []string
	CreateErr string
	StartErr  string
	Errno     syscall.Errno
	Code      int
}

// fake is a Runtime that runs a plain process. Its state is in the bundle
// directory, so that an adopter finds it.
type fake struct{ dir string }

type codedError struct {
	error
	code int
}

func (e codedError) ExitCode() int { return e.code }
func (e codedError) Unwrap() error { return e.error }

func (f *fake) payload() (p payload, err error) {
	err = disk.ReadJSON(filepath.Join(f.dir, "fake.json"), &p)
	return p, err
}

func (p payload) fail(text string) error {
	if text == "" {
		return nil
	}
	err := fault.New(fault.NotFound, "%s", text)
	if p.Errno != 0 {
		err = fault.As(fault.NotFound, fmt.Errorf("%s: %w", text, p.Errno))
	}
	return codedError{err, p.Code}
}

// Run creates and starts.
func (f *fake) Run(ctx context.Context, b Bundle) (Proc, error) {
	p, err := f.Create(ctx, b)
	if err != nil {
		return Proc{}, err
	}
	if p.Console != nil {
		err = b.Console(p.Console)
		p.Console = nil
	}
	if err == nil {
		err = f.Start(ctx, b.ID)
	}
	if err != nil {
		_ = f.Delete(ctx, b.ID, true)
		_, _ = syscall.Wait4(p.Pid, nil, 0, nil)
	}
	return p, err
}

// Create starts a shell that waits for Start before it becomes the payload.
func (f *fake) Create(_ context.Context, b Bundle) (Proc, error) {
	p, err := f.payload()
	if err != nil {
		return Proc{}, err
	}
	if err := p.fail(p.CreateErr); err != nil {
		return Proc{}, err
	}
	gate := filepath.Join(f.dir, "gate")
	os.Remove(gate)
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		return Proc{}, err
	}
	script := `read _ <` + gate + `; exec "$@"`
	argv := append([]string{"/bin/sh", "-c", script, "sh"}, p.Args...)
	proc, err := spawn(argv, [3]*os.File{b.Stdin, b.Stdout, b.Stderr}, b.TTY)
	if err != nil {
		return Proc{}, err
	}
	note(f.dir, "created")
	return proc, os.WriteFile(filepath.Join(f.dir, "fake.pid"), []byte(strconv.Itoa(proc.Pid)), 0o600)
}

// note appends a line to the diary of the fake runtime.
func note(dir, what string) {
	f, err := os.OpenFile(filepath.Join(dir, "diary"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		fmt.Fprintf(f, "%d %s\n", time.Now().UnixMilli(), what)
		f.Close()
	}
}

func spawn(argv []string, stdio [3]*os.File, tty bool) (Proc, error) {
	pidfd := -1
	sys := &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd}
	var console *os.File
	if tty {
		master, slave, err := openPTY()
		if err != nil {
			return Proc{}, err
		}
		defer slave.Close()
		console, stdio = master, [3]*os.File{slave, slave, slave}
		sys.Setctty = true
	}
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Env:   []string{"PATH=/usr/bin:/bin", "GODEBUG=containermaxprocs=0"},
		Files: []uintptr{stdio[0].Fd(), stdio[1].Fd(), stdio[2].Fd()},
		Sys:   sys,
	})
	if err != nil {
		return Proc{}, err
	}
	return Proc{Pid: pid, Pidfd: os.NewFile(uintptr(pidfd), "pidfd"), Console: console}, nil
}

func openPTY() (master, slave *os.File, err error) {
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(m, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	return os.NewFile(uintptr(m), "master"), slave, err
}

func (f *fake) Start(context.Context, string) error {
	p, err := f.payload()
	if err != nil {
		return err
	}
	if err := p.fail(p.StartErr); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.dir, "gate"), []byte("go\n"), 0o600)
}

func (f *fake) Exec(_ context.Context, _ string, p *specs.Process, stdio [3]*os.File) (Proc, error) {
	if len(p.Args) == 0 {
		return Proc{}, fault.New(fault.Invalid, "no args")
	}
	return spawn(p.Args, stdio, p.Terminal)
}

func (f *fake) pid() (int, error) {
	b, err := os.ReadFile(filepath.Join(f.dir, "fake.pid"))
	if err != nil {
		return 0, fault.As(fault.NotRunning, err)
	}
	return strconv.Atoi(string(b))
}

func (f *fake) Kill(_ string, sig int, all bool) error {
	pid, err := f.pid()
	if err != nil {
		return err
	}
	if all {
		pid = -pid
	}
	return syscall.Kill(pid, syscall.Signal(sig))
}

func (f *fake) Pause(context.Context, string) error { return f.Kill("", int(syscall.SIGSTOP), true) }

func (f *fake) Resume(context.Context, string) error { return f.Kill("", int(syscall.SIGCONT), true) }

func (f *fake) Delete(context.Context, string, bool) error {
	err := f.Kill("", int(syscall.SIGKILL), true)
	note(f.dir, "deleted")
	os.Remove(filepath.Join(f.dir, "fake.pid"))
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, fault.NotRunning) {
		return nil
	}
	return err
}

func (f *fake) OOMKilled(string) (bool, []string, error) {
	victims, err := os.ReadFile(filepath.Join(f.dir, "oom"))
	return err == nil, strings.Fields(string(victims)), nil
}

func (f *fake) Adopt(context.Context, string) (Proc, error) {
	pid, err := f.pid()
	return Proc{Pid: pid}, err
}

// box is a container of the tests.
type box struct {
	t   *testing.T
	dir string // bundle
	cfg monitor.Config
}

// newBox writes a bundle whose payload is args.
func newBox(t *testing.T, change func(*monitor.Config), args ...string) *box {
	t.Helper()
	return newBoxOf(t, change, payload{Args: args})
}

func newBoxOf(t *testing.T, change func(*monitor.Config), p payload) *box {
	t.Helper()
	top := t.TempDir()
	b := &box{t: t, dir: filepath.Join(top, "record", "bundle")}
	run := filepath.Join(top, "run")
	for _, d := range []string{b.dir, run} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b.cfg = monitor.Config{
		ID: "box", Bundle: b.dir, RunDir: run,
		StatusFile: filepath.Join(top, "record", "status.json"),
		LogFile:    filepath.Join(top, "record", "container.log"),
	}
	if change != nil {
		change(&b.cfg)
	}
	b.write("fake.json", p)
	b.write(monitor.ConfigFile, b.cfg)
	t.Cleanup(b.cleanup)
	return b
}

func (b *box) write(name string, v any) {
	b.t.Helper()
	if err := disk.WriteJSON(filepath.Join(b.dir, name), v, 0o600, false); err != nil {
		b.t.Fatal(err)
	}
}

// cleanup ends what a failed test left.
func (b *box) cleanup() {
	s, _ := container.ReadStatus(b.cfg.StatusFile)
	if s.MonitorAlive() {
		_ = syscall.Kill(s.MonitorPid, syscall.SIGKILL)
	}
	if s.Alive() {
		_ = syscall.Kill(-s.Pid, syscall.SIGKILL)
	}
	eventually(b.t, "the monitor leaves", func() bool {
		c, err := monitor.Dial(context.Background(), b.cfg.RunDir)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	// It may still be writing when its door is closed.
	eventually(b.t, "the monitor's end", func() bool { return !b.serving() })
}

// serving reports whether a monitor of this box is still a process.
func (b *box) serving() bool {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is constant
	for _, l := range lines {
		text, err := os.ReadFile(l) // empty for a zombie
		if err == nil && strings.Contains(string(text), "\x00monitor\x00") && strings.Contains(string(text), b.dir) {
			return true
		}
	}
	return false
}

func (b *box) spawn() *monitor.Conn {
	b.t.Helper()
	c, err := monitor.Spawn(b.t.Context(), exe(b.t), b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return c
}

// start spawns and starts.
func (b *box) start(o monitor.AttachOptions) *monitor.Conn {
	b.t.Helper()
	c := b.spawn()
	if err := c.Start(soon(b.t), o); err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *box) status() container.Status {
	b.t.Helper()
	s, err := container.ReadStatus(b.cfg.StatusFile)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func exe(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// soon is a context for what must not take long.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within the deadline", what)
		}
	}
}
