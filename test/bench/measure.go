package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// contender is one side of a comparison. A nil run means it cannot take part.
type contender struct {
	name   string
	run    func(turn int) error // what is timed
	before func(turn int) error // not timed
	after  func(turn int) error // not timed

	// A second timed part, and what is waited for between the two, not timed.
	wait, then func(turn int) error
}

// times holds the durations of each contender.
type times map[string][]time.Duration

// rest is how long the machine is left alone before a turn. The kernel still
// takes apart what the contender before has left, and lets the next one move
// processes between cgroups without the grace period that the first to do so
// waits for: docs/decisions/091-turns-at-rest.md.
const rest = 50 * time.Millisecond

// interleave lets the contenders take turns, each on a machine at rest. The
// first turns warm caches; they are not counted. One that fails drops out;
// absent gets its reason.
func interleave(rounds int, cs []contender, absent map[string]string) times {
	return takeTurns(rounds, rest, cs, absent)
}

func takeTurns(rounds int, pause time.Duration, cs []contender, absent map[string]string) times {
	const warm = 5
	out := make(times)
	for turn := range rounds + warm {
		for i := range cs {
			c := cs[(i+turn)%len(cs)] // nobody always follows the same other
			if absent[c.name] != "" {
				continue
			}
			d, err := c.once(turn, pause)
			if err != nil {
				warn(err)
				absent[c.name] = c.name + ": " + firstLine(err.Error())
				delete(out, c.name)
				continue
			}
			if turn >= warm {
				out[c.name] = append(out[c.name], d)
			}
		}
	}
	return out
}

func (c contender) once(turn int, pause time.Duration) (took time.Duration, err error) {
	idle := func(int) error { time.Sleep(pause); return nil }
	for _, step := range []struct {
		do    func(turn int) error
		timed bool
	}{{c.before, false}, {idle, false}, {c.run, true}, {c.wait, false}, {c.then, true}, {c.after, false}} {
		if step.do == nil {
			continue
		}
		start := time.Now()
		if err := step.do(turn); err != nil {
			return 0, err
		}
		if step.timed {
			took += time.Since(start)
		}
	}
	return took, nil
}

// first does something in the first turn only.
func first(do func() error) func(turn int) error {
	done := false
	return func(int) error {
		if done {
			return nil
		}
		done = true
		return do()
	}
}

func median[N ~int | ~int64](d []N) N {
	if len(d) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(d))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// command is a program with its fixed arguments.
type command []string

// with adds arguments.
func (c command) with(args ...string) command { return slices.Concat(c, args) }

// run executes the command.
func (c command) run() error {
	_, err := c.output()
	return err
}

// output is timed with the command, so it goes to memory, not to a disk, nor
// through pipes and goroutines of ours.
func (c command) output() (string, error) {
	fd, err := unix.MemfdCreate("bench-out", unix.MFD_CLOEXEC)
	if err != nil {
		return "", os.NewSyscallError("memfd_create", err)
	}
	log := os.NewFile(uintptr(fd), "bench-out")
	defer log.Close()
	cmd := exec.Command(c[0], c[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	err = cmd.Run()
	text, _ := io.ReadAll(io.NewSectionReader(log, 0, 1<<20)) // only to quote it
	out := strings.TrimSpace(string(text))
	if err != nil {
		return out, fmt.Errorf("%s: %w: %s", strings.Join(c.brief(), " "), err, out)
	}
	return out, nil
}

// brief leaves the paths of the scratch directory out.
func (c command) brief() []string {
	out := []string{filepath.Base(c[0])}
	for _, a := range c[1:] {
		if !strings.HasPrefix(a, "-") && !strings.Contains(a, "/berth-bench.") {
			out = append(out, a)
		}
	}
	return out
}
