package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// initName is the name under which this binary stands in a container with
// --init, bound read-only.
const initName = "berth-init"

// isInit says whether we are the first process of a container.
func isInit() bool { return filepath.Base(os.Args[0]) == initName }

// initMain is `berth-init -- COMMAND [ARG...]`: it runs the command, passes it
// every signal, and reaps whatever becomes an orphan, until the command ends.
func initMain(args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		os.Stderr.WriteString("berth-init: no command\n")
		return 125
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	signal.Reset(unix.SIGTTIN, unix.SIGTTOU, unix.SIGURG)
	child, code, err := initStart(args)
	if err != nil {
		os.Stderr.WriteString("berth-init: " + err.Error() + "\n")
		return code
	}
	debug.FreeOSMemory()
	for s := range signals {
		if s != unix.SIGCHLD {
			unix.Kill(child, s.(syscall.Signal))
			continue
		}
		if code, done := initReap(child); done {
			return code
		}
	}
	return 0
}

// initStart runs the command in a process group of its own, in front on the
// terminal if there is one, so that keys like Ctrl-C reach it and not us.
func initStart(args []string) (pid, code int, err error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			return 0, 126, err
		}
		return 0, 127, err
	}
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}}
	if _, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		attr.Sys.Foreground, attr.Sys.Ctty = true, 0
	}
	pid, err = syscall.ForkExec(path, args, attr)
	return pid, 126, err
}

// initReap collects every process that has ended; done when the command has.
func initReap(child int) (code int, done bool) {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || pid <= 0:
			return 0, false
		case pid == child && ws.Signaled():
			return 128 + int(ws.Signal()), true
		case pid == child && ws.Exited():
			return ws.ExitStatus(), true
		}
	}
}
