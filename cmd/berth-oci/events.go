package main

import (
	"encoding/json"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/cgroup"
)

// event is one line of events; the keys come in runc's order.
type event struct {
	Type string        `json:"type"`
	ID   string        `json:"id"`
	Data *cgroup.Stats `json:"data,omitempty"`
}

// tick is how often events looks for kills for lack of memory.
const tick = 200 * time.Millisecond

// cmdEvents prints counters every now and then, and kills for lack of memory,
// until the container ends.
func cmdEvents(a *app) func() (int, error) {
	once := a.flags.Bool("stats", false, "print the counters once")
	interval := a.flags.Duration("interval", 5*time.Second, "time between two lines of counters")
	return func() (int, error) {
		if *interval <= 0 {
			return 1, fault.New(fault.Invalid, "duration interval must be greater than 0")
		}
		id := a.args[0]
		s, err := a.rt.State(id)
		if err != nil {
			return 1, err
		}
		if s.Pid == 0 {
			return 1, fault.New(fault.NotRunning, "container with id %s is not running", id)
		}
		m, err := a.rt.Cgroup(id)
		if err != nil {
			return 1, err
		}
		if *once {
			return 0, a.printStats(id, m)
		}
		pidfd, err := unix.PidfdOpen(s.Pid, 0)
		if err != nil {
			return 0, nil //nolint:nilerr // it has just ended
		}
		defer unix.Close(pidfd)
		return 0, a.follow(id, m, pidfd, *interval)
	}
}

func (a *app) printStats(id string, m cgroup.Manager) error {
	stats, err := m.Stats()
	if err != nil {
		return err
	}
	return json.NewEncoder(a.stdout).Encode(event{"stats", id, &stats})
}

// follow prints until the process behind pidfd has ended.
func (a *app) follow(id string, m cgroup.Manager, pidfd int, interval time.Duration) error {
	kills, _ := m.OOMKills() // a group that is gone has had none
	next := time.Now().Add(interval)
	for {
		wait := min(tick, max(time.Until(next), 0))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(wait.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if now, err := m.OOMKills(); err == nil && now > kills {
			kills = now
			if err := json.NewEncoder(a.stdout).Encode(event{Type: "oom", ID: id}); err != nil {
				return err
			}
		}
		if n > 0 {
			return nil
		}
		if time.Now().Before(next) {
			continue
		}
		next = time.Now().Add(interval)
		if err := a.printStats(id, m); err != nil {
			return err
		}
	}
}
