package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// isolate runs this program again in new mount, network and pid namespaces.
// When its first process ends the kernel ends all others and the mounts go; we
// remove what a kernel keeps: directories and cgroups.
func isolate(o options) error {
	scratch, err := os.MkdirTemp(o.Dir, "berth-bench.")
	if err != nil {
		return err
	}
	o.Dir = scratch
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe, o.args("init")...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
	}
	err = cmd.Run()
	return errors.Join(err, removeGroups(cgroupName(scratch)), os.RemoveAll(scratch))
}

func (o options) args(inside string) []string {
	return []string{
		"-bin", o.Bin, "-dir", o.Dir, "-rows", o.Rows, "-rounds", fmt.Sprint(o.Rounds),
		"-write", o.Write, "-runc", o.Runc, "-crun", o.Crun, "-inside", inside,
	}
}

// cgroupName is the parent of all groups that the contenders are asked to make.
func cgroupName(scratch string) string {
	return strings.ReplaceAll(filepath.Base(scratch), ".", "-")
}

// removeGroups removes the groups of that name in every hierarchy. A group
// whose last process has just been killed is busy for a moment.
func removeGroups(name string) error {
	var err error
	for range 100 {
		if err = tryRemoveGroups(name); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

func tryRemoveGroups(name string) error {
	tops, err := filepath.Glob("/sys/fs/cgroup/*/" + name)
	if err != nil {
		return err
	}
	if _, err := os.Stat("/sys/fs/cgroup/" + name); err == nil {
		tops = append(tops, "/sys/fs/cgroup/"+name)
	}
	var errs []error
	for _, top := range tops {
		var dirs []string
		errs = append(errs, filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		}))
		for _, d := range slices.Backward(dirs) {
			errs = append(errs, os.Remove(d))
		}
	}
	return errors.Join(errs...)
}

// initProcess is pid 1 of the new pid namespace: it makes the namespaces
// usable, starts the work and reaps whatever is left to it.
func initProcess() error {
	if err := furnish(); err != nil {
		return err
	}
	args := os.Args[1:]
	args[len(args)-1] = "work"
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if pid == cmd.Process.Pid {
			if ws.ExitStatus() != 0 {
				os.Exit(1) // it has said why
			}
			return nil
		}
	}
}

func furnish() error {
	step := func(what string, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
	return errors.Join(
		step("make mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")),
		step("mount proc", unix.Mount("proc", "/proc", "proc", 0, "")),
		step("mount /run", unix.Mount("run", "/run", "tmpfs", 0, "mode=755")),
		step("bring lo up", loopbackUp()),
	)
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req)
}
