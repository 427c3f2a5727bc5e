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
	Type string `json:"type"`
	ID   string `json:"id"`
	Data any    `json:"data,omitempty"`
}

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
		e := events{id: id, m: m, out: json.NewEncoder(a.stdout), interval: *interval}
		if *once {
			return 0, e.stats()
		}
		pidfd, err := unix.PidfdOpen(s.Pid, 0)
		if err != nil {
			return 0, nil //nolint:nilerr // it has just ended
		}
		defer unix.Close(pidfd)
		return 0, e.follow(pidfd)
	}
}

// events prints one container's.
type events struct {
	id       string
	m        cgroup.Manager
	out      *json.Encoder
	interval time.Duration
	victims  int       // that were told
	look     time.Time // for more until then
}

func (e *events) stats() error {
	stats, err := e.m.Stats()
	if err != nil {
		return err
	}
	return e.out.Encode(event{"stats", e.id, &stats})
}

// nested is how often the counters are asked for kills in groups below the
// container's own, of which cgroup v1 sends no sign.
const nested = 200 * time.Millisecond

// follow prints until the process behind pidfd has ended.
func (e *events) follow(pidfd int) error {
	w, err := e.m.WatchOOM()
	if err != nil {
		return err
	}
	defer w.Close()
	if old, err := e.m.Victims(); err == nil {
		e.victims = len(old)
	}
	next := time.Now().Add(e.interval)
	for {
		wait := min(nested, max(time.Until(next), 0))
		fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}, w.Poll()}
		if _, err := unix.Poll(fds, int(wait.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		over := fds[0].Revents != 0
		err := e.oom(w)
		if err == nil && !over && !time.Now().Before(next) {
			next = time.Now().Add(e.interval)
			err = e.stats()
		}
		if over || (err != nil && ended(pidfd)) {
			return nil // whoever waits for it may have removed its group already
		}
		if err != nil {
			return err
		}
	}
}

// ended reports whether the process behind pidfd has.
func ended(pidfd int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// oom prints runc's line, which says that it happened, and for each process
// that the kernel's log names one of our own with whom and whose limit. The
// log may be late.
func (e *events) oom(w *cgroup.Watch) error {
	news, err := w.News()
	if err != nil {
		return err
	}
	if news {
		e.look = time.Now().Add(5 * nested)
		if err := e.out.Encode(event{Type: "oom", ID: e.id}); err != nil {
			return err
		}
	}
	if time.Now().After(e.look) {
		return nil
	}
	victims, err := e.m.Victims()
	if err != nil {
		return nil //nolint:nilerr // no right to read the log, or none here
	}
	for ; e.victims < len(victims); e.victims++ {
		if err := e.out.Encode(event{"oom-kill", e.id, victims[e.victims]}); err != nil {
			return err
		}
	}
	e.victims = len(victims) // fewer, if the log has lost its oldest lines
	return nil
}
