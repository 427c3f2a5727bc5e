package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

const head = `# Benchmarks

berth beside the engines that Debian packages, in one run on one machine. The
contenders of a row take turns, with a rest of 50 ms before each, medians are
compared; a ratio below 1 means that berth is faster or smaller. Made by

    make bench BENCHFLAGS="-write docs/benchmarks.md"

as root, which needs nothing but Debian's packages (it installs them). The
numbers of another machine will differ, and the ratios too: where page faults
and system calls are dear, as in nested virtual machines, programs in Go pay
more for their own start than programs in C. The row of getppid tells: a call
takes 0.2 µs on a machine and 1 µs in such a one.

Without the rest a turn begins while the kernel is still busy with the one
before, and some of what a start costs has been paid by that one: see
[decision 091](decisions/091-turns-at-rest.md). Two works are shown both ways.

`

// render writes the page.
func render(o options, results []result) string {
	var p strings.Builder
	p.WriteString(head)
	p.WriteString(machine(o))
	p.WriteString("\n| work | | must reach | berth | peer | ratio | reached |\n|---|---|---|---|---|---|---|\n")
	last := ""
	for _, r := range results {
		work := r.row.work
		if work == last {
			work = ""
		}
		last = r.row.work
		if r.note != "" {
			r.peer = strings.TrimSpace(r.peer + " (not measured: " + cell(r.note) + ")")
		}
		fmt.Fprintf(&p, "| %s | %s | %s | %s | %s | %s | %s |\n", work, r.what, r.goal, r.ours, r.peer, r.ratio, r.met)
	}
	fmt.Fprintf(&p, "\n%d turns of each contender in the short rows (three times that for `run` and `exec` of the engines, `--version` and `state`, eight times for filters, at most %d pulls).\n", o.Rounds, pulls)
	return p.String()
}

// cell keeps a message inside its cell of the table.
func cell(s string) string {
	const most = 160
	s = strings.ReplaceAll(s, "|", "/")
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}

// machine describes what the numbers depend on.
func machine(o options) string {
	rows := [][2]string{
		{"date", time.Now().UTC().Format("2006-01-02")},
		{"processor", fmt.Sprintf("%s, %d cores", field("/proc/cpuinfo", "model name"), runtime.NumCPU())},
		{"memory", field("/proc/meminfo", "MemTotal")},
		{"kernel", strings.TrimSpace(readFile("/proc/sys/kernel/osrelease"))},
		{"system", strings.Trim(field("/etc/os-release", "PRETTY_NAME"), `"`)},
		{"cgroups", cgroups()},
		{"compiler", runtime.Version()},
		{"peers", strings.Join(peers(o), ", ")},
	}
	var p strings.Builder
	p.WriteString("| | |\n|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&p, "| %s | %s |\n", r[0], r[1])
	}
	return p.String()
}

func readFile(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return "unknown"
	}
	return string(text)
}

// field finds "key : value" or "key=value".
func field(file, key string) string {
	for line := range strings.Lines(readFile(file)) {
		k, v, ok := strings.Cut(line, ":")
		if !ok {
			k, v, ok = strings.Cut(line, "=")
		}
		if ok && strings.TrimSpace(k) == key {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return "unknown"
}

func cgroups() string {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return "v2"
	}
	if _, err := os.Stat("/sys/fs/cgroup/unified"); err == nil {
		return "v1 hierarchies beside a unified tree (hybrid)"
	}
	return "v1"
}

func peers(o options) []string {
	var out []string
	for _, p := range [][]string{{o.Runc, "--version"}, {o.Crun, "--version"}, {"dockerd", "--version"}, {"podman", "--version"}, {"conmon", "--version"}} {
		text, err := exec.Command(p[0], p[1:]...).Output()
		if err == nil {
			out = append(out, strings.TrimSuffix(firstLine(string(text)), ","))
		}
	}
	return out
}

func warn(err error) { fmt.Fprintln(os.Stderr, "bench:", err) }
