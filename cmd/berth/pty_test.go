package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-engine/berth/test/fixture"
)

// terminalEngine gives berth commands on an engine of their own, with the
// container of the test removed at its end.
func terminalEngine(t *testing.T, name string) func(args ...string) *exec.Cmd {
	t.Helper()
	fixture.Root(t)
	fixture.Need(t, "busybox")
	bin, dir := fixture.Binaries(t), t.TempDir()
	root, state := filepath.Join(dir, "lib"), filepath.Join(dir, "run")
	berth := func(args ...string) *exec.Cmd {
		cmd := exec.Command(bin.Berth, args...)
		cmd.Env = append(os.Environ(), "BERTH_ROOT="+root, "BERTH_STATE="+state, "HOME="+dir)
		return cmd
	}
	if out, err := berth("import", fixture.BusyboxTar(t), "busybox").CombinedOutput(); err != nil {
		t.Fatalf("import: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		_ = berth("rm", "-f", name).Run() // gone already when all went well
		left(t, root, state)
	})
	return berth
}

// A person at a terminal: types, changes the window, interrupts, leaves,
// comes back, opens a second shell beside the first, and ends.
func TestTerminal(t *testing.T) {
	berth := terminalEngine(t, "shell")
	tty := fixture.Pty(t, berth("run", "-it", "--rm", "--name", "shell", "busybox", "sh"))

	tty.Send("echo one$((1+1))\n") // the echo of what was typed does not match
	tty.Expect("one2")
	tty.Resize(33, 101)
	tty.SendUntil("stty size\n", "33 101")

	tty.Send("sh -c 'echo in$((1+1)); exec sleep 1000'; echo rc$?\n")
	tty.Expect("in2") // so the key is for the program and not for the shell
	tty.SendUntil("\x03", "\n/ #")
	tty.Send("echo alive$((2+2))\n")
	tty.Expect("alive4")

	tty.Send("\x10\x11") // ctrl-p ctrl-q
	if code := tty.Wait(); code != 0 {
		t.Fatalf("left with %d; the terminal shows:\n%s", code, tty.Output())
	}
	if out, err := berth("inspect", "-f", "{{.State.Status}}", "shell").Output(); err != nil || strings.TrimSpace(string(out)) != "running" {
		t.Fatalf("after leaving: %q, %v", out, err)
	}

	beside := fixture.Pty(t, berth("exec", "-it", "shell", "sh"))
	beside.SendUntil("stty size; tty | sed s/dev/x/\n", "24 80")
	beside.Expect("/x/pts/")
	beside.Send("exit 7\n")
	if code := beside.Wait(); code != 7 {
		t.Fatalf("exec ended with %d; the terminal shows:\n%s", code, beside.Output())
	}

	again := fixture.Pty(t, berth("attach", "shell"))
	again.SendUntil("echo back$((3+3))\n", "back6")
	again.Send("exit 5\n")
	if code := again.Wait(); code != 5 {
		t.Fatalf("the shell ended with %d; the terminal shows:\n%s", code, again.Output())
	}
}

// Without a terminal -t with -i is refused, as scripts rely on.
func TestTerminalMissing(t *testing.T) {
	berth := terminalEngine(t, "none")
	cmd := berth("run", "-it", "--rm", "--name", "none", "busybox", "true")
	cmd.Stdin = strings.NewReader("")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the input device is not a TTY") {
		t.Fatalf("%v, %s", err, out)
	}
}

// Until the image is there the terminal is the user's: ^C ends the pull.
func TestTerminalDuringPull(t *testing.T) {
	berth := terminalEngine(t, "none")
	slow := filepath.Join(t.TempDir(), "registry")
	if err := os.WriteFile(slow, []byte("#!/bin/sh\necho pulling >&2\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := berth("run", "-it", "--rm", "--name", "none", "missing")
	cmd.Env = append(cmd.Env, "BERTH_REGISTRY="+slow)
	tty := fixture.Pty(t, cmd)
	tty.Expect("pulling")
	tty.Send("\x03")
	code := tty.Wait()
	heard := code == 125 && strings.Contains(tty.Output(), "signal: interrupt") // of the pull's end, before of its own
	if code != 130 && !heard {
		t.Errorf("ended with %d; the terminal shows:\n%s", code, tty.Output())
	}
}
