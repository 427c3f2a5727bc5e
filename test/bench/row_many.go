package main

import (
	"fmt"
	"strconv"
	"time"
)

const (
	started   = 200  // containers run with -d
	records   = 1000 // containers that ps -a lists
	edge      = 20   // first and last ones compared
	manyRatio = 1.3
	psMax     = 40 * time.Millisecond
)

// measureMany looks for work that grows with the number of containers.
func measureMany(b *bench) ([]result, error) {
	if err := b.needBerth(); err != nil {
		return nil, err
	}
	ids := []string{}
	defer func() { b.removeInParts(ids) }()
	var took []time.Duration
	for i := range records {
		id := "many-" + strconv.Itoa(i)
		verb := b.berthRun().with("-d")
		if i >= started {
			verb = b.berth.with("create", "--network", "none")
		}
		begin := time.Now()
		if err := verb.with("--name", id, image, "sleep", "3600").run(); err != nil {
			return nil, fmt.Errorf("container %d: %w", i, err)
		}
		took = append(took, time.Since(begin))
		ids = append(ids, id)
	}
	first, last := median(took[:edge]), median(took[started-edge:started])
	ratio := float64(last) / float64(first)
	out := []result{{
		what: "start of the last 20", ours: show(last), peer: "first 20 " + show(first),
		ratio: fmt.Sprintf("%.3f", ratio), goal: "≤ 1.3 × the first 20", met: yes(ratio <= manyRatio),
	}}
	list := b.berth.with("ps", "-a")
	absent := make(map[string]string)
	t := interleave(b.Rounds, []contender{{name: "ps", run: func(int) error { return list.run() }}}, absent)
	ps := median(t["ps"])
	if ps == 0 {
		return append(out, result{what: "`ps -a`", goal: "≤ 40 ms", note: absent["ps"]}), nil
	}
	return append(out, result{what: "`ps -a`", ours: show(ps), goal: "≤ 40 ms", met: yes(ps <= psMax)}), nil
}

// removeInParts keeps the command line short enough.
func (b *bench) removeInParts(ids []string) {
	const part = 100
	for len(ids) > 0 {
		n := min(part, len(ids))
		b.removeAll([]contender{{name: "berth"}}, ids[:n]...)
		ids = ids[n:]
	}
}
