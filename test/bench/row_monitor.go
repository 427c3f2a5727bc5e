package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	monitors   = 50
	monitorMax = 1.5 // MiB
)

// measureMonitor compares what stays in memory for each idle container: our
// monitor, podman's conmon and docker's shim, by their proportional set size.
// All of them are looked at when they have come to rest.
func measureMonitor(b *bench) ([]result, error) {
	var mine float64
	var out []result
	for _, s := range []struct {
		name string
		need func() error
		run  func() command
		is   func(comm, args string) bool
	}{
		{"berth", b.needBerth, b.berthRun, func(comm, args string) bool {
			return comm == "berth-monitor" && strings.Contains(args, b.Dir)
		}},
		{"conmon", b.needPodman, b.podmanRun, func(comm, _ string) bool { return comm == "conmon" }},
		{
			"containerd-shim", b.needDocker, func() command { return b.docker.with("run", "--network", "none") },
			func(comm, _ string) bool { return comm == "containerd-shim" },
		},
	} {
		if err := s.need(); err != nil {
			out = append(out, result{what: s.name, note: firstLine(err.Error())})
			continue
		}
		pss, err := b.idle(s.name, s.run(), s.is)
		if err != nil {
			return out, err
		}
		r := result{what: s.name, ours: fmt.Sprintf("%.2f MiB", mine)}
		if s.name == "berth" {
			mine = pss
			r = result{what: "berth", ours: fmt.Sprintf("%.2f MiB", pss), goal: "≤ 1.5 MiB", met: yes(pss <= monitorMax)}
		} else {
			r.peer, r.goal = fmt.Sprintf("%s %.2f MiB", s.name, pss), "(for comparison)"
			if mine > 0 {
				r.ratio = fmt.Sprintf("%.3f", mine/pss)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// idle starts the containers, adds up what their watchers take and removes them.
func (b *bench) idle(name string, run command, is func(comm, args string) bool) (mib float64, err error) {
	var ids []string
	for i := range monitors {
		id := "idle-" + strconv.Itoa(i)
		if err := run.with("-d", "--name", id, image, "sleep", "3600").run(); err != nil {
			return 0, fmt.Errorf("%s: container %d: %w", name, i, err)
		}
		ids = append(ids, id)
	}
	engine := map[string]string{"berth": "berth", "conmon": "podman", "containerd-shim": "docker"}[name]
	defer b.removeAll([]contender{{name: engine}}, ids...)
	kib, n := settled(is)
	if n != monitors {
		return 0, fmt.Errorf("%s: found %d watchers of %d containers", name, n, monitors)
	}
	return float64(kib) / 1024 / monitors, nil
}

// settled is pss when that has not changed by a hundredth for two seconds, or
// after ten; first it waits, since our monitor begins anew when it had nothing
// to do for five.
func settled(is func(comm, args string) bool) (kib, n int) {
	time.Sleep(6 * time.Second)
	kib, n = pss(is)
	since := time.Now()
	for end := since.Add(10 * time.Second); time.Now().Before(end) && time.Since(since) < 2*time.Second; {
		time.Sleep(200 * time.Millisecond)
		k, m := pss(is)
		if m != n || max(k-kib, kib-k)*100 > kib {
			kib, n, since = k, m, time.Now()
		}
	}
	return kib, n
}

// pss adds up the proportional set size of all processes that is selects.
func pss(is func(comm, args string) bool) (kib, n int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is constant
	for _, d := range dirs {
		comm, _ := os.ReadFile(d + "/comm")
		args, _ := os.ReadFile(d + "/cmdline")
		if !is(strings.TrimSpace(string(comm)), strings.ReplaceAll(string(args), "\x00", " ")) {
			continue
		}
		rollup, err := os.ReadFile(d + "/smaps_rollup")
		if err != nil {
			continue // gone
		}
		for line := range strings.Lines(string(rollup)) {
			f := strings.Fields(line)
			if len(f) == 3 && f[0] == "Pss:" {
				k, _ := strconv.Atoi(f[1]) // the kernel writes a number
				kib, n = kib+k, n+1
			}
		}
	}
	return kib, n
}
