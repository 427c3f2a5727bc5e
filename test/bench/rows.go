package main

import (
	"fmt"
	"time"
)

// row is a line of the table.
type row struct {
	name    string
	work    string
	measure func(b *bench) ([]result, error)
}

// rows are in the order of the page.
var rows = []row{
	{"oci", "`berth-oci run` of `/bin/true`, one bundle for all", measureOCI},
	{"life", "`berth-oci create`, `start` and `delete`, one bundle for all", measureLife},
	{"ociexec", "`berth-oci exec C /bin/true`", measureOCIExec},
	{"state", "`berth-oci state C`", measureState},
	{"rss", "memory of `berth-oci run`", measureRSS},
	{"run", "`run --rm --network none IMAGE true`", measureRun},
	{"exec", "`exec C true`", measureExec},
	{"monitor", "monitor of an idle container, PSS each when 50 run", measureMonitor},
	{"many", "200 containers one after the other with `-d`; `ps -a` with 1,000 records", measureMany},
	{"seccomp", "system calls under the default seccomp profile", measureSeccomp},
	{"version", "`berth --version` and an empty cobra program", measureVersion},
	{"pull", "pull and unpack of a 300 MB, 5-layer image from a registry on loopback", measurePull},
}

func rowNames() []string {
	var out []string
	for _, r := range rows {
		out = append(out, r.name)
	}
	return out
}

// result is one comparison of a row, ready to print.
type result struct {
	row   row
	what  string // which part of the row
	ours  string
	peer  string // name and value
	ratio string
	goal  string
	met   string // yes, no or empty when it cannot be said
	note  string // why a number is missing
}

// goal is what a ratio of medians must reach.
type goal struct {
	peer string
	max  float64 // 0: none, only shown
	text string
}

// compare turns medians into one result for each goal. Peers that could not
// take part are in absent with their reason.
func compare(what, ours string, t times, absent map[string]string, goals []goal) []result {
	var out []result
	for _, g := range goals {
		r := result{what: what, goal: g.text, note: absent[ours]}
		if r.note == "" {
			r.note = absent[g.peer]
		}
		mine, his := median(t[ours]), median(t[g.peer])
		if mine > 0 {
			r.ours = show(mine)
		}
		if his > 0 {
			r.peer = g.peer + " " + show(his)
		}
		if mine > 0 && his > 0 {
			ratio := float64(mine) / float64(his)
			r.ratio = fmt.Sprintf("%.3f", ratio)
			if g.max > 0 {
				r.met = yes(ratio <= g.max)
			}
		}
		out = append(out, r)
	}
	return out
}

func yes(ok bool) string {
	if ok {
		return "yes"
	}
	return "no"
}

func show(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	case d < 10*time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// side is a contender that may be missing.
type side struct {
	name string
	need func() error
	make func() contender
}

// present asks every side whether it can take part.
func present(sides []side) (cs []contender, absent map[string]string) {
	absent = make(map[string]string)
	for _, s := range sides {
		if err := s.need(); err != nil {
			absent[s.name] = s.name + ": " + firstLine(err.Error())
			continue
		}
		c := s.make()
		c.name = s.name
		cs = append(cs, c)
	}
	return cs, absent
}

// engines are berth and its two peers, each with its own way to do the work.
func (b *bench) engines(berth, docker, podman func() contender) []side {
	return []side{
		{"berth", b.needBerth, berth},
		{"docker", b.needDocker, docker},
		{"podman", b.needPodman, podman},
	}
}

// just is a contender that runs one command.
func just(c func() command) func() contender {
	return func() contender {
		cmd := c()
		return contender{run: func(int) error { return cmd.run() }}
	}
}
