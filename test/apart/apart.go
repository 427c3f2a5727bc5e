// Package apart runs a program in mount, network and pid namespaces of its
// own, for tests and benchmarks that start whole engines.
//
//	program ── clone(mnt, net, pid) ──► init ──► work
//	  │                                  └─ proc, /run, /dev/null, lo; reaps
//	  └─ afterwards removes the scratch directory and the cgroups
//
// What is started in there ends with it: processes, mounts, interfaces, rules.
// Two things outlive namespaces, and Run removes these: files, if they are in
// the scratch directory, and control groups, if they are below Group.
//
// It isolates for tidiness. It does not protect from what runs inside, which is
// root on the machine as before.
package apart

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// variable tells a process of ours which part it plays, and where the scratch
// directory is.
const variable = "BERTH_APART"

// Options say how far apart.
type Options struct {
	Dir string // where the scratch directory is made
	// Groups shows Group as the root of all control groups, so that also
	// those are removed whose place nobody was asked for.
	Groups bool
}

// Run starts this program again, with the same arguments, in new namespaces.
// When that comes to the same call of Run, work is done there. The result of
// work is the status returned here. In the inner process Run does not return.
func Run(o Options, work func(scratch string) int) (int, error) {
	part, scratch, inside := strings.Cut(os.Getenv(variable), ":")
	if !inside {
		return outside(o.Dir)
	}
	os.Unsetenv(variable)
	if part == "work" {
		os.Exit(work(scratch))
	}
	code, err := initProcess(o, scratch)
	if err != nil {
		fmt.Fprintln(os.Stderr, "apart:", err)
		code = 1
	}
	os.Exit(code)
	return code, nil
}

// Inside says whether this process is one that Run has started. Before, there
// is still a network.
func Inside() bool { return os.Getenv(variable) != "" }

func outside(dir string) (int, error) {
	if os.Geteuid() != 0 {
		return 1, errors.New("needs root: it makes namespaces, and control groups in them")
	}
	scratch, err := os.MkdirTemp(dir, "berth-apart.")
	if err != nil {
		return 1, err
	}
	runtime.LockOSThread() // whose death Pdeathsig means
	defer runtime.UnlockOSThread()
	code, err := again("init", scratch, &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
	})
	err = errors.Join(err, removeGroups(filepath.Base(Group(scratch))), os.RemoveAll(scratch))
	if err != nil && code == 0 {
		code = 1
	}
	return code, err
}

// again runs this program to its end, in another part.
func again(part, scratch string, attr *syscall.SysProcAttr) (int, error) {
	cmd := same(part, scratch)
	cmd.SysProcAttr = attr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil // it has said why
	}
	return 0, err
}

func same(part, scratch string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), variable+"="+part+":"+scratch)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}
