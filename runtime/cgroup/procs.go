package cgroup

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

func (g *group) Pids() ([]int, error) {
	pids, err := g.pidsOf(func(*tree) bool { return true })
	return pids, fault.Op("cgroup.pids", "", err)
}

// pidsOf merges the processes of the trees that want is true for. A process
// is as a rule in all of them; one that is not is ours too.
func (g *group) pidsOf(want func(*tree) bool) ([]int, error) {
	var all []int
	for i := range g.trees {
		if !want(&g.trees[i]) {
			continue
		}
		pids, err := g.pidsIn(&g.trees[i])
		if err != nil {
			return nil, err
		}
		all = append(all, pids...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// pidsIn lists the processes of one tree, those of groups below included. A
// group that is gone has none.
func (g *group) pidsIn(t *tree) ([]int, error) {
	var pids []int
	err := walk(t.path, func(path string) error {
		d := g.dir(path)
		defer d.close()
		text, err := d.read("cgroup.procs")
		switch {
		case gone(err):
			return nil // removed while we looked
		case errors.Is(err, unix.EOPNOTSUPP):
			return nil // threaded: its processes are listed further up
		case err != nil:
			return fault.Op("read cgroup.procs", path, err)
		}
		pids = append(pids, parsePids(text)...)
		return nil
	})
	return pids, err
}

// parsePids reads one number a line. 0 stands for a process that this pid
// namespace cannot see; it counts as one.
func parsePids(text string) []int {
	var pids []int
	for line := range strings.Lines(text) {
		if pid, err := strconv.ParseInt(strings.TrimSuffix(line, "\n"), 10, 32); err == nil && pid >= 0 {
			pids = append(pids, int(pid))
		}
	}
	return pids
}

// Kill: the unified tree kills everything in it in one go (Linux 5.14), even
// what forks or is frozen. Whoever is in v1 groups only is stopped first, so
// that nobody forks faster than we count, and shot one by one.
func (g *group) Kill() error {
	const op = "cgroup.kill"
	swept := false
	if t := g.unified(); t != nil {
		d := g.dir(t.path)
		err := d.write("cgroup.kill", "1")
		d.close()
		swept = err == nil
		if err != nil && !gone(err) && !errors.Is(err, unix.EOPNOTSUPP) {
			return fault.Op(op, t.path, err)
		}
	}
	if swept && g.pure() {
		return nil
	}
	err := g.shoot(swept)
	if t := g.freezer(); t != nil {
		// A process that the v1 freezer holds does not die before it thaws.
		d := g.dir(t.path)
		defer d.close()
		if terr := d.write(frostFile(t, false)); err == nil && !gone(terr) {
			err = terr
		}
	}
	return fault.Op(op, g.name(), err)
}

// shoot kills process by process until a look around finds nobody new. swept
// says that everybody in the unified tree is dying already.
func (g *group) shoot(swept bool) error {
	shot := make(map[int]bool)
	stopped := false
	for range tries {
		targets, err := g.targets(swept)
		if err != nil {
			return err
		}
		fresh := slices.ContainsFunc(targets, func(pid int) bool { return !shot[pid] })
		if !fresh {
			return nil
		}
		maps.DeleteFunc(shot, func(pid int, _ bool) bool { return !slices.Contains(targets, pid) })
		if !stopped {
			stopped = true
			if t := g.freezer(); t != nil {
				d := g.dir(t.path)
				ctx, cancel := context.WithTimeout(context.Background(), patience/10)
				_ = freeze(ctx, t, d, true) // without it we need more rounds
				cancel()
				d.close()
				continue
			}
		}
		if err := g.signal(targets, func() ([]int, error) { return g.targets(swept) }, shot); err != nil {
			return err
		}
	}
	return fault.New(fault.Unavailable, "processes are made faster than they can be killed")
}

// targets lists who has to be shot.
func (g *group) targets(swept bool) ([]int, error) {
	pids, err := g.pidsOf(func(t *tree) bool { return !t.unified || !swept })
	if err != nil || !swept {
		return visible(pids), err
	}
	// In this order: who leaves in between is not taken for a straggler that
	// cgroup.kill missed, but found gone.
	dying, err := g.pidsOf(func(t *tree) bool { return t.unified })
	return visible(slices.DeleteFunc(pids, func(pid int) bool { return slices.Contains(dying, pid) })), err
}

func visible(pids []int) []int {
	return slices.DeleteFunc(pids, func(pid int) bool { return pid == 0 })
}

// signal sends SIGKILL to pids. A number may get a new owner at any moment,
// so each is pinned by a pidfd first, and only those that the group still
// lists after that are meant.
func (g *group) signal(pids []int, again func() ([]int, error), shot map[int]bool) error {
	const batch = 256 // descriptors at a time
	for chunk := range slices.Chunk(pids, batch) {
		if err := signalBatch(chunk, again, shot); err != nil {
			return err
		}
	}
	return nil
}

func signalBatch(pids []int, again func() ([]int, error), shot map[int]bool) error {
	fds := make(map[int]int, len(pids))
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		switch {
		case err == nil:
			fds[pid] = fd
		case !errors.Is(err, unix.ESRCH):
			return fault.Op("open pidfd of", strconv.Itoa(pid), err)
		}
		shot[pid] = true
	}
	still, err := again()
	if err != nil {
		return err
	}
	for _, pid := range still {
		fd, ok := fds[pid]
		if !ok {
			continue
		}
		if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fault.Op("kill", strconv.Itoa(pid), err)
		}
	}
	return nil
}
