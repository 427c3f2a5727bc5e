// Command berth-init is process 1 of a container made with --init:
//
//	berth-init -- PROGRAM [ARG...]
//
// It starts the program, hands every signal on to it, and collects whatever
// processes are left to it. Its exit code is the program's; 128+n when that
// was killed by signal n; 127 and 126 when it could not be started.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "berth-init: usage: berth-init -- PROGRAM [ARG...]")
		return 125
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	pid, err := start(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "berth-init:", err)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
			return 127
		}
		return 126
	}
	for s := range signals {
		switch s {
		case syscall.SIGCHLD:
			if code, ended := reap(pid); ended {
				return code
			}
		case syscall.SIGURG, syscall.SIGPIPE: // Go's own
		case syscall.SIGTTIN, syscall.SIGTTOU:
		default:
			if n, ok := s.(syscall.Signal); ok {
				_ = syscall.Kill(pid, n)
			}
		}
	}
	return 125
}

// start runs the program in a process group of its own; on a terminal it
// becomes the one in front.
func start(args []string) (int, error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return 0, err
	}
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}}
	tty, err := os.Open("/dev/tty")
	if err == nil {
		defer tty.Close()
		attr.Sys.Foreground, attr.Sys.Ctty = true, int(tty.Fd())
	}
	return syscall.ForkExec(path, args, attr)
}

// reap collects every ended process and says how the main one ended, if it did.
func reap(main int) (code int, ended bool) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return code, ended
		}
		if pid != main {
			continue
		}
		if ended = true; ws.Signaled() {
			code = 128 + int(ws.Signal())
		} else {
			code = ws.ExitStatus()
		}
	}
}
