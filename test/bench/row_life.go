package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// measureLife has the runtimes make, start and delete a container, as engines
// do. The payload's own time between start and end is nobody's.
func measureLife(b *bench) ([]result, error) {
	bundle, err := b.bundle("life", false, "/bin/true")
	if err != nil {
		return nil, err
	}
	cs, absent := present(b.runtimes(func(name string, runtime command) contender {
		id := func(turn int) string { return name + strconv.Itoa(turn) }
		pidFile := b.path(name + ".pid")
		create := runtime.with("create", "-b", bundle, "--pid-file", pidFile)
		return contender{
			run: func(turn int) error {
				if err := create.with(id(turn)).run(); err != nil {
					return err
				}
				return runtime.with("start", id(turn)).run()
			},
			wait: func(int) error { return ended(pidFile) },
			then: func(turn int) error { return runtime.with("delete", id(turn)).run() },
		}
	}))
	t := interleave(b.Rounds, cs, absent)
	return compare("", "berth-oci", t, absent, []goal{
		{"crun", 0.6, "≤ 0.6 × crun"},
		{"runc", 0, "(for comparison)"},
	}), nil
}

// ended waits until the process that the file names is dead. Our own process 1
// reaps it, if it has not done so yet.
func ended(pidFile string) error {
	pid, err := readPid(pidFile)
	if err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30_000)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return os.NewSyscallError("poll", err)
		case n == 0:
			return fmt.Errorf("process %d runs on after 30 s", pid)
		default:
			return nil
		}
	}
}

func readPid(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// measureOCIExec runs /bin/true in a container that each runtime has started.
func measureOCIExec(b *bench) ([]result, error) {
	cs, absent, err := b.inContainer("ociexec", "exec", "/bin/true")
	if err != nil {
		return nil, err
	}
	t := interleave(b.Rounds, cs, absent)
	out := compare("", "berth-oci", t, absent, []goal{
		{"crun", 0.6, "≤ 0.6 × crun"},
		{"runc", 0, "(for comparison)"},
	})
	hurried := takeTurns(b.Rounds, 0, cs, absent)
	return append(out, compare("no rest between the turns", "berth-oci", hurried, absent, []goal{
		{"crun", 0, "(for comparison)"},
		{"runc", 0, "(for comparison)"},
	})...), nil
}

// measureState asks for the state of a running container. It is little more
// than starting a program, so an empty one is the measure.
func measureState(b *bench) ([]result, error) {
	cs, absent, err := b.inContainer("state", "state")
	if err != nil {
		return nil, err
	}
	empty := b.path("empty")
	if err := goBuild(empty, "empty"); err != nil {
		absent["empty"] = firstLine(err.Error())
	}
	cs = append(cs, contender{name: "empty", run: func(int) error { return command{empty}.run() }})
	t := interleave(b.Rounds*3, cs, absent)
	return compare("", "berth-oci", t, absent, []goal{
		{"empty", 1.5, "≤ 1.5 × an empty Go program"},
		{"crun", 0, "(for comparison)"},
		{"runc", 0, "(for comparison)"},
	}), nil
}

// inContainer has each runtime start a container that sleeps, and do verb with
// it in every turn. The containers end with the namespaces of the bench.
func (b *bench) inContainer(row, verb string, args ...string) ([]contender, map[string]string, error) {
	bundles := make(map[string]string)
	for _, name := range []string{"berth-oci", "runc", "crun"} { // a group can hold one container
		dir, err := b.bundle(row+"-"+name, false, "/bin/sleep", "3600")
		if err != nil {
			return nil, nil, err
		}
		bundles[name] = dir
	}
	cs, absent := present(b.runtimes(func(name string, runtime command) contender {
		return contender{
			before: first(runtime.with("run", "-d", "-b", bundles[name], row).run),
			run:    func(int) error { return runtime.with(verb, row).with(args...).run() },
		}
	}))
	return cs, absent, nil
}
