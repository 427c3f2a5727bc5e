package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/engines"
)

const (
	rssTurns = 5
	rssMax   = 1.5 // × crun
)

// measureRSS compares the most that each runtime had in memory during run, read
// while its container runs. The rusage of a child will not do: it begins with
// what the bench itself has.
func measureRSS(b *bench) ([]result, error) {
	bundle, err := b.bundle("rss", false, "/bin/sleep", "3600")
	if err != nil {
		return nil, err
	}
	peak := make(map[string][]int)
	cs, absent := present(b.runtimes(func(name string, runtime command) contender {
		cmd := runtime.with("run", "-b", bundle, "--pid-file", b.path("rss.pid"), "rss-"+name)
		return contender{run: func(int) error {
			kib, err := peakOfRun(cmd, b.path("rss.pid"))
			peak[name] = append(peak[name], kib)
			return err
		}}
	}))
	interleave(rssTurns, cs, absent)
	mine := median(peak["berth-oci"])
	var out []result
	for _, peer := range []string{"crun", "runc"} {
		his := median(peak[peer])
		r := result{goal: "(for comparison)", note: absent["berth-oci"]}
		if r.note == "" {
			r.note = absent[peer]
		}
		if r.note == "" {
			ratio := float64(mine) / float64(his)
			r.ours, r.peer, r.ratio = showKiB(mine), peer+" "+showKiB(his), fmt.Sprintf("%.3f", ratio)
			if peer == "crun" {
				r.goal, r.met = "≤ 1.5 × crun", yes(ratio <= rssMax)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// peakOfRun starts a container, reads what its runtime needed, and kills it.
func peakOfRun(run command, pidFile string) (kib int, err error) {
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	cmd := exec.Command(run[0], run[1:]...)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var payload int
	err = engines.Await(run[0], func() bool {
		pid, err := readPid(pidFile)
		payload = pid
		return err == nil && readFile(fmt.Sprintf("/proc/%d/comm", pid)) == "sleep\n"
	})
	if err != nil {
		return 0, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	hwm, _ := strings.CutSuffix(field(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid), "VmHWM"), " kB")
	kib, err = strconv.Atoi(hwm)
	err = errors.Join(err, unix.Kill(payload, unix.SIGKILL))
	var status *exec.ExitError
	if werr := cmd.Wait(); !errors.As(werr, &status) { // it passes on how the payload ended
		err = errors.Join(err, werr)
	}
	return kib, err
}

func showKiB(n int) string { return fmt.Sprintf("%.2f MiB", float64(n)/1024) }
