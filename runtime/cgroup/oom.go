package cgroup

import (
	"encoding/binary"
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// Watch tells when a container runs out of memory. It is for one goroutine.
type Watch struct {
	g     *group
	fd    int    // an eventfd (v1), memory.events (v2), or -1
	v1    bool   // which
	seen  uint64 // kills that were told
	ahead uint64 // told by the eventfd, before the kernel counted the kill
}

func (g *group) WatchOOM() (*Watch, error) {
	const op = "cgroup.watch"
	w := &Watch{g: g, fd: -1}
	t := g.find("memory")
	if t == nil {
		return w, nil
	}
	d := g.dir(t.path)
	defer d.close()
	var err error
	if t.unified {
		w.fd, err = d.open("memory.events", unix.O_RDONLY)
	} else {
		w.v1 = true
		w.fd, err = eventfd(d)
	}
	if err != nil {
		return nil, fault.Op(op, t.path, err)
	}
	if w.seen, err = g.OOMKills(); err != nil {
		w.Close()
		return nil, fault.Op(op, t.path, err)
	}
	return w, nil
}

// eventfd asks for a signal at each out-of-memory of the directory's group:
// "EVENTFD FILE" to cgroup.event_control, memory.rst section 10.
func eventfd(d *dir) (int, error) {
	control, err := d.open("memory.oom_control", unix.O_RDONLY)
	if err != nil {
		return -1, err
	}
	defer unix.Close(control)
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, err
	}
	if err := d.write("cgroup.event_control", strconv.Itoa(fd)+" "+strconv.Itoa(control)); err != nil {
		unix.Close(fd)
		return -1, fault.Op("write", "cgroup.event_control", err)
	}
	return fd, nil
}

// Poll is what to poll for; its descriptor is -1 where memory is not counted.
func (w *Watch) Poll() unix.PollFd {
	if w.v1 {
		return unix.PollFd{Fd: int32(w.fd), Events: unix.POLLIN}
	}
	return unix.PollFd{Fd: int32(w.fd), Events: unix.POLLPRI} // kernfs: the file has changed
}

// News reports whether memory has run out since the last call. Both ways of v1
// are needed: the eventfd speaks also when the OOM killer is off, and of this
// group alone, the counters of kills are also of the groups below. A group
// that is gone has no news and wakes nobody any more.
func (w *Watch) News() (bool, error) {
	if w.fd < 0 {
		return false, nil
	}
	// In this order: the kernel signals before it kills, so what has been
	// counted has been signalled.
	kills, err := w.g.OOMKills()
	told := w.v1 && w.signalled()
	if gone(err) {
		w.Close() // the removal is signalled, too, and on v2 from then on always
		return false, nil
	}
	if err != nil {
		return told, err
	}
	fresh := kills - min(w.seen, kills)
	w.seen = kills
	known := min(fresh, w.ahead)
	w.ahead -= known
	return told || fresh > known, nil
}

// signalled reads the eventfd.
func (w *Watch) signalled() bool {
	var buf [8]byte
	n, err := unix.Read(w.fd, buf[:])
	if err != nil || n != len(buf) {
		return false
	}
	w.ahead += binary.NativeEndian.Uint64(buf[:])
	return true
}

// Close ends the watching.
func (w *Watch) Close() error {
	if w.fd < 0 {
		return nil
	}
	err := unix.Close(w.fd)
	w.fd = -1
	return err
}

func (g *group) OOMKills() (uint64, error) {
	t := g.find("memory")
	if t == nil {
		return 0, nil
	}
	var total uint64
	count := func(path string) error {
		d := g.dir(path)
		defer d.close()
		name := "memory.oom_control"
		if t.unified {
			name = "memory.events" // groups below are in it
		}
		text, err := d.read(name)
		if gone(err) && path != t.path {
			return nil // a group below, removed while we looked
		}
		total += pairs(text)["oom_kill"]
		return fault.Op("read "+name, path, err)
	}
	err := count(t.path)
	if !t.unified && err == nil {
		total = 0
		err = walk(t.path, count)
	}
	return total, fault.Op("cgroup.oom", "", err)
}

// Victim is a process that the kernel killed for lack of memory.
type Victim struct {
	Pid   int    `json:"pid"` // as the machine numbers processes
	UID   int    `json:"uid"`
	Name  string `json:"name"`  // the process's, 15 bytes of it
	Group string `json:"group"` // the one it was in
	Limit string `json:"limit"` // the group that was full; "" if it was the machine
}

func (g *group) Victims() ([]Victim, error) {
	const op = "cgroup.victims"
	t := g.find("memory")
	if t == nil {
		return nil, nil
	}
	name, err := t.kernelName()
	if err != nil {
		return nil, fault.Op(op, t.path, err)
	}
	fd, err := kernel.Retry(func() (int, error) {
		return unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fault.Op(op, "/dev/kmsg", err)
	}
	defer unix.Close(fd)
	var out []Victim
	buf := make([]byte, 8192) // CONSOLE_EXT_LOG_MAX, the longest record
	for {
		n, err := kernel.Retry(func() (int, error) { return unix.Read(fd, buf) })
		switch {
		case errors.Is(err, unix.EPIPE):
			continue // overwritten before we came to it
		case errors.Is(err, unix.EAGAIN), err == nil && n == 0:
			return out, nil
		case err != nil:
			return out, fault.Op(op, "/dev/kmsg", err)
		}
		if v, ok := parseVictim(string(buf[:n])); ok && inGroup(v.Group, name) {
			out = append(out, v)
		}
	}
}

// kernelName is the group's path in its hierarchy, as the kernel's log has it.
func (t *tree) kernelName() (string, error) {
	top := t.top
	if top == "" {
		l, err := Detect()
		if err != nil {
			return "", err
		}
		for _, h := range l.Hierarchies {
			if _, ok := below(h.Mountpoint, t.path); ok && len(h.Mountpoint) > len(top) {
				top = h.Mountpoint
			}
		}
	}
	return t.path[len(top):], nil
}
