package container

import (
	"errors"
	"io/fs"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// ReadStatus reads a status file; a missing one means that the container was
// created and never started.
func ReadStatus(path string) (Status, error) {
	var buf []byte
	return readStatusInto(&buf, path)
}

func readStatusInto(buf *[]byte, path string) (Status, error) {
	var s Status
	err := readInto(buf, path, &s, quickStatus)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Status{State: Created}, nil
	case err != nil:
		return Status{}, fault.Op("container.status", "", err)
	case next[s.State] == nil:
		return Status{}, fault.New(fault.Damaged, "container.status: %s: unknown state %q", path, printable(string(s.State)))
	}
	return s, nil
}

// WriteStatus replaces a status file: readers see the old or the new one,
// whole. durable makes it survive a power cut; the end of a payload is written
// so before anybody is told. An empty BootID becomes this boot's when there is
// a process to guard.
func WriteStatus(path string, s Status, durable bool) error {
	if next[s.State] == nil {
		return fault.New(fault.Invalid, "container.status: unknown state %q", s.State)
	}
	if s.BootID == "" && (s.Pid != 0 || s.MonitorPid != 0) {
		s.BootID = kernel.BootID()
	}
	return fault.Op("container.status", "", disk.WriteJSON(path, s, 0o600, durable))
}

// Alive reports whether the payload that this status names still runs: pid,
// start time and boot must all match, so a reused pid is never taken for it.
func (s Status) Alive() bool { return kernel.Alive(s.Pid, s.StartTicks, s.BootID) }

// MonitorAlive reports the same of the monitor.
func (s Status) MonitorAlive() bool { return kernel.Alive(s.MonitorPid, s.MonitorTicks, s.BootID) }
