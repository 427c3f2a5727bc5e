package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/engines"
)

const (
	rssTurns = 5
	rssMax   = 1.5 // × crun
)

// resident is what a runtime has in memory, in KiB: while its container runs,
// and the most that it ever had.
type resident struct{ now, peak int }

// measureRSS compares what each runtime has in memory during run. The rusage of
// a child will not do: it begins with what the bench itself has.
func measureRSS(b *bench) ([]result, error) {
	bundle, err := b.bundle("rss", false, "/bin/sleep", "3600")
	if err != nil {
		return nil, err
	}
	now, peak := make(map[string][]int), make(map[string][]int)
	cs, absent := present(b.runtimes(func(name string, runtime command) contender {
		cmd := runtime.with("run", "-b", bundle, "--pid-file", b.path("rss.pid"), "rss-"+name)
		return contender{run: func(int) error {
			r, err := residentOfRun(cmd, b.path("rss.pid"))
			now[name], peak[name] = append(now[name], r.now), append(peak[name], r.peak)
			return err
		}}
	}))
	interleave(rssTurns, cs, absent)
	return append(compareKiB("while its payload runs", now, absent, rssMax), compareKiB("at its most", peak, absent, 0)...), nil
}

// compareKiB compares berth-oci with its peers. most is the ratio to crun that
// must be reached; 0 is none.
func compareKiB(what string, kib map[string][]int, absent map[string]string, most float64) (out []result) {
	mine := median(kib["berth-oci"])
	for _, peer := range []string{"crun", "runc"} {
		his := median(kib[peer])
		r := result{what: what, goal: "(for comparison)", note: absent["berth-oci"]}
		if r.note == "" {
			r.note = absent[peer]
		}
		if r.note == "" {
			ratio := float64(mine) / float64(his)
			r.ours, r.peer, r.ratio = showKiB(mine), peer+" "+showKiB(his), fmt.Sprintf("%.3f", ratio)
			if peer == "crun" && most > 0 {
				r.goal, r.met = fmt.Sprintf("≤ %g × crun", most), yes(ratio <= most)
			}
		}
		out = append(out, r)
	}
	return out
}

// lookAfter is how long a container has run when its runtime is looked at.
const lookAfter = 2 * time.Second

// residentOfRun starts a container, reads what its runtime has, and kills it.
func residentOfRun(run command, pidFile string) (r resident, err error) {
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return r, err
	}
	cmd := exec.Command(run[0], run[1:]...)
	if err := cmd.Start(); err != nil {
		return r, err
	}
	var payload int
	err = engines.Await(run[0], func() bool {
		pid, err := readPid(pidFile)
		payload = pid
		return err == nil && readFile(fmt.Sprintf("/proc/%d/comm", pid)) == "sleep\n"
	})
	if err != nil {
		return r, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	time.Sleep(lookAfter)
	now, nerr := statusKiB(cmd.Process.Pid, "VmRSS")
	peak, perr := statusKiB(cmd.Process.Pid, "VmHWM")
	err = errors.Join(nerr, perr, unix.Kill(payload, unix.SIGKILL))
	var status *exec.ExitError
	if werr := cmd.Wait(); !errors.As(werr, &status) { // it passes on how the payload ended
		err = errors.Join(err, werr)
	}
	return resident{now, peak}, err
}

func statusKiB(pid int, name string) (int, error) {
	text, _ := strings.CutSuffix(field(fmt.Sprintf("/proc/%d/status", pid), name), " kB")
	return strconv.Atoi(text)
}

func showKiB(n int) string { return fmt.Sprintf("%.2f MiB", float64(n)/1024) }
