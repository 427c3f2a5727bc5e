package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/brisk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/sigpipe"
	"github.com/berth-engine/berth/runtime/oci"
)

// makeFlags are the flags that create, run and exec share.
type makeFlags struct {
	bundle, pidFile, consoleSocket string
	pidfdSocket                    string
	preserve                       int
	noKeyring, noPivot             bool
	detach, keep                   bool
}

func declareMake(a *app, m *makeFlags) {
	f := a.flags
	f.StringVarP(&m.bundle, "bundle", "b", ".", "directory with config.json")
	f.BoolVar(&m.noKeyring, "no-new-keyring", false, "keep the caller's session keyring")
	f.BoolVar(&m.noPivot, "no-pivot", false, "enter the root without pivot_root, as an initramfs needs; confines less")
	declareProcess(a, m)
}

func declareProcess(a *app, m *makeFlags) {
	f := a.flags
	f.StringVar(&m.pidFile, "pid-file", "", "file to write the process id to")
	f.StringVar(&m.consoleSocket, "console-socket", "", "AF_UNIX socket that receives the terminal's master")
	f.StringVar(&m.pidfdSocket, "pidfd-socket", "", "AF_UNIX socket that receives a descriptor of the process")
	f.IntVar(&m.preserve, "preserve-fds", 0, "how many descriptors from 3 on the payload inherits")
}

// stdio are the caller's own descriptors.
func stdio() [3]*os.File { return [3]*os.File{os.Stdin, os.Stdout, os.Stderr} }

// preserved returns the descriptors 3 to 3+n-1, those of LISTEN_FDS first; the
// payload learns of these as from systemd, see sd_listen_fds(3).
func preserved(n int, p *specs.Process) ([]*os.File, error) {
	if v := os.Getenv("LISTEN_FDS"); v != "" {
		fds, err := strconv.Atoi(v)
		if err != nil || fds < 0 || fds > maxPreserve {
			return nil, fault.New(fault.Invalid, "LISTEN_FDS=%q is no number of descriptors", v)
		}
		n += fds
		p.Env = append(p.Env, "LISTEN_FDS="+v, "LISTEN_PID=1")
		if names, ok := os.LookupEnv("LISTEN_FDNAMES"); ok {
			p.Env = append(p.Env, "LISTEN_FDNAMES="+names)
		}
	}
	if n < 0 || n > 2*maxPreserve {
		return nil, fault.New(fault.Invalid, "--preserve-fds: %d is no number of descriptors", n)
	}
	var files []*os.File
	for i := range n {
		// What closes on exec is ours: nothing like that was inherited.
		flags, err := unix.FcntlInt(uintptr(3+i), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			return nil, fault.New(fault.Invalid, "--preserve-fds: descriptor %d is not open", 3+i)
		}
		files = append(files, os.NewFile(uintptr(3+i), "preserved"))
	}
	return files, nil
}

// maxPreserve bounds how many descriptors are handed on.
const maxPreserve = 1024

// request builds what create and run ask of the runtime.
func (m *makeFlags) request(a *app, id string) (oci.CreateRequest, error) {
	brisk.Start()
	req := oci.CreateRequest{ID: id, Stdio: stdio(), NoKeyring: m.noKeyring, NoPivot: m.noPivot}
	var err error
	if req.Bundle, err = oci.LoadBundle(m.bundle); err != nil {
		return req, err
	}
	if req.Preserve, err = preserved(m.preserve, req.Bundle.Spec.Process); err != nil {
		return req, err
	}
	if m.pidFile != "" {
		if req.PIDFile, err = filepath.Abs(m.pidFile); err != nil {
			return req, err
		}
	}
	return req, nil
}

func cmdCreate(a *app) func() (int, error) {
	var m makeFlags
	declareMake(a, &m)
	return func() (int, error) {
		req, err := m.request(a, a.args[0])
		if err != nil {
			return 1, err
		}
		if req.Console, err = m.console(req.Bundle.Spec.Process, true); err != nil {
			return 1, err
		}
		_, err = a.make(&m, req.ID, func() (*oci.Process, error) { return a.rt.Create(context.Background(), req) })
		return 0, err
	}
}

func cmdStart(a *app) func() (int, error) {
	return func() (int, error) { return 0, a.rt.Start(context.Background(), a.args[0]) }
}

func cmdRun(a *app) func() (int, error) {
	var m makeFlags
	declareMake(a, &m)
	a.flags.BoolVarP(&m.detach, "detach", "d", "return when the payload runs")
	a.flags.BoolVar(&m.keep, "keep", false, "keep the stopped container")
	a.flags.Bool("no-subreaper", false, "accepted; this runtime is no subreaper")
	return func() (int, error) {
		req, err := m.request(a, a.args[0])
		if err != nil {
			return 1, err
		}
		req.Start = true
		if req.Console, err = m.console(req.Bundle.Spec.Process, m.detach); err != nil {
			return 1, err
		}
		return a.run(req, &m)
	}
}

// run is the foreground: signals go to the payload, its status is ours.
func (a *app) run(req oci.CreateRequest, m *makeFlags) (int, error) {
	return a.foreground(m, req.ID, req.Console == nil && req.Bundle.Spec.Process.Terminal, func() (*oci.Process, error) {
		return a.rt.Create(context.Background(), req)
	})
}

// foreground makes a container and, unless it is to be left alone, stays until
// its end. tty says that its terminal is for us to serve.
func (a *app) foreground(m *makeFlags, id string, tty bool, make func() (*oci.Process, error)) (int, error) {
	fg, err := newForeground(tty && !m.detach)
	if err != nil {
		return 1, err
	}
	defer fg.restore()
	p, err := a.make(m, id, make)
	if err != nil {
		return 1, err
	}
	if m.detach {
		return 0, nil
	}
	code, err := fg.wait(p)
	if err != nil || m.keep {
		return code, err
	}
	return code, a.rt.Delete(context.Background(), id, true)
}

// console returns what takes the terminal's master. Without a terminal, or
// when this program serves the terminal itself, that is nobody.
func (m *makeFlags) console(p *specs.Process, detached bool) (func(*os.File) error, error) {
	terminal := p != nil && p.Terminal
	switch {
	case m.consoleSocket != "" && !terminal:
		return nil, fault.New(fault.Invalid, "--console-socket: the process has no terminal")
	case m.consoleSocket == "" && terminal && detached:
		return nil, fault.New(fault.Invalid, "cannot allocate tty if runc will detach without setting console socket: give --console-socket")
	case m.consoleSocket == "":
		return nil, nil
	}
	return func(master *os.File) error { return sendMaster(m.consoleSocket, master) }, nil
}

// sendMaster hands a pty over: one message, the name as data, one descriptor.
func sendMaster(path string, master *os.File) error {
	conn, err := dial(path)
	if err != nil {
		return fault.Op("console socket", path, err)
	}
	defer conn.Close()
	return fault.Op("console socket", path, sendFile(conn, master.Name(), master))
}

// foreground passes signals, and serves the terminal if there is one.
type foreground struct {
	signals int // see sigpipe
	tty     *terminal
}

// newForeground begins to catch signals; call it before anything is made that
// our death would leave behind.
func newForeground(tty bool) (*foreground, error) {
	pipe, err := sigpipe.Catch(sigpipe.All()...)
	if err != nil {
		return nil, err
	}
	fg := &foreground{signals: pipe}
	if tty {
		fg.tty = &terminal{}
	}
	return fg, nil
}

func (fg *foreground) restore() {
	if fg.tty != nil {
		fg.tty.restore()
	}
}

// restAfter is how many milliseconds a payload may take before we make
// ourselves small for it. Most take less, or very much more.
const restAfter = 1000

// wait passes signals on until the payload has ended.
func (fg *foreground) wait(p *oci.Process) (int, error) {
	if fg.tty != nil {
		if err := fg.tty.serve(p.Console); err != nil {
			return 1, errors.Join(err, p.Signal(unix.SIGKILL))
		}
		defer fg.tty.drain()
	}
	both := []unix.PollFd{{Fd: int32(p.Pidfd.Fd()), Events: unix.POLLIN}, {Fd: int32(fg.signals), Events: unix.POLLIN}}
	patience := restAfter
	for {
		n, err := unix.Poll(both, patience)
		switch {
		case err == nil && n == 0:
			brisk.Rest()
			patience = -1
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 1, os.NewSyscallError("poll", err)
		case both[1].Revents != 0:
			if err := fg.forward(p); err != nil {
				return 1, err
			}
		}
		if both[0].Revents != 0 {
			return p.Wait()
		}
	}
}

func (fg *foreground) forward(p *oci.Process) error {
	list, err := sigpipe.Read(fg.signals)
	for _, s := range list {
		switch {
		case s != unix.SIGWINCH:
			p.Signal(s)
		case fg.tty != nil:
			fg.tty.resize()
		}
	}
	return err
}
