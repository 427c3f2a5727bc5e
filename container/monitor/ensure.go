package monitor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
)

// ConfigFile is the name of a Config in its bundle directory.
const ConfigFile = "monitor.json"

// lostNote is what a record says when a payload and its monitor died together.
const lostNote = "the monitor was killed and nobody saw how the container ended"

// ReadConfig reads the monitor's configuration of a bundle.
func ReadConfig(bundleDir string) (Config, error) {
	var c Config
	err := disk.ReadJSON(filepath.Join(bundleDir, ConfigFile), &c)
	if err == nil && (c.ID == "" || !filepath.IsAbs(c.RunDir) || !filepath.IsAbs(c.StatusFile)) {
		err = fault.New(fault.Damaged, "%s: ID, RunDir or StatusFile is missing", ConfigFile)
	}
	return c, fault.Op("monitor.config", bundleDir, err)
}

// Ensure returns a connection to the monitor of the container in bundleDir.
//
//	socket answers          that monitor
//	else payload lives      a new monitor adopts it, once, however many ask
//	else status says alive  the record is put right: exited, cause unknown
//	else                    nothing to do
//
// The last two return fault.NotRunning; the status file then says how it ended.
// exe is the program that Spawn starts.
func Ensure(ctx context.Context, exe, bundleDir string) (*Conn, error) {
	cfg, err := ReadConfig(bundleDir)
	if err != nil {
		return nil, err
	}
	if c, err := knock(ctx, cfg.RunDir); err == nil || !errors.Is(err, fault.Unavailable) {
		return c, err
	}
	unlock, err := lock(ctx, filepath.Join(bundleDir, ConfigFile))
	if err != nil {
		return nil, err
	}
	defer unlock()
	c, status, err := settled(ctx, &cfg)
	if c != nil || err != nil {
		return c, err // another command was faster
	}
	switch {
	case !live(status.State):
	case status.MonitorAlive():
		return nil, fault.New(fault.Unavailable, "the monitor of %s (process %d) does not answer", cfg.ID, status.MonitorPid)
	case status.Alive():
		c, aerr := adopt(ctx, exe, bundleDir)
		if aerr == nil || status.Alive() {
			return c, aerr
		}
		// It ended under the adopter's hands.
		if status, err = container.ReadStatus(cfg.StatusFile); err != nil {
			return nil, err
		}
		if !live(status.State) || status.MonitorAlive() {
			return nil, aerr
		}
		fallthrough
	default:
		if err := bury(cfg.StatusFile, status); err != nil {
			return nil, err
		}
	}
	return nil, fault.New(fault.NotRunning, "container %s is not running", cfg.ID)
}

// knock connects to the monitor and makes sure that somebody is behind the
// door: the socket of one that is being killed takes connections to its last
// moment. One that is only slow, or hangs, is the caller's to wait for.
func knock(ctx context.Context, runDir string) (*Conn, error) {
	c, err := Dial(ctx, runDir)
	if err != nil {
		return nil, err
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := c.do(short, &wire.Message{Op: wire.Adopted}); errors.Is(err, fault.Unavailable) {
		c.Close()
		return nil, err
	}
	return c, nil
}

// buryFor bounds the wait for a killed monitor to be gone: its socket is
// closed some time before its process is dead.
const buryFor = 2 * time.Second

// settled returns a connection, or the status once no monitor lives that could
// still change it, or that of a monitor which lives and has no socket.
func settled(ctx context.Context, cfg *Config) (*Conn, container.Status, error) {
	for end := time.Now().Add(buryFor); ; {
		c, err := knock(ctx, cfg.RunDir)
		if err == nil || !errors.Is(err, fault.Unavailable) {
			return c, container.Status{}, err
		}
		s, err := container.ReadStatus(cfg.StatusFile)
		if err != nil || !live(s.State) || !s.MonitorAlive() || time.Now().After(end) {
			return nil, s, err
		}
		if err := pause(ctx); err != nil {
			return nil, s, err
		}
	}
}

// live reports whether the state needs a monitor.
func live(s container.State) bool {
	return s == container.Running || s == container.Paused || s == container.Restarting
}

func adopt(ctx context.Context, exe, bundleDir string) (*Conn, error) {
	c, err := spawn(ctx, exe, "monitor", "--adopt", bundleDir)
	if err != nil {
		return nil, err
	}
	if err := c.do(ctx, &wire.Message{Op: wire.Adopted}); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// bury records the end of a payload that nobody saw end. The caller holds the
// lock, and no monitor lives: for once somebody else writes the status.
func bury(path string, s container.Status) error {
	if s.State != container.Restarting || s.Exit == nil {
		s.Exit = &container.ExitStatus{Code: 255, Unknown: true, Cause: lostNote}
		s.FinishedAt = time.Now().UTC()
	}
	s.State, s.Pid, s.StartTicks, s.MonitorPid, s.MonitorTicks = container.Exited, 0, 0, 0, 0
	s.Note = lostNote
	return container.WriteStatus(path, s, true)
}

// lock takes an exclusive flock on path within the context's time.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	for {
		err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { syscall.Close(fd) }, nil
		}
		if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
			err = pause(ctx)
		}
		if err != nil {
			syscall.Close(fd)
			return nil, fault.Op("lock", path, err)
		}
	}
}

// Await returns how the container in bundleDir ended for good, whatever
// happens to its monitor meanwhile.
func Await(ctx context.Context, exe, bundleDir string) (container.ExitStatus, error) {
	for {
		exit, err := awaitOnce(ctx, exe, bundleDir)
		switch {
		case err == nil:
			return exit, nil
		case !errors.Is(err, fault.Unavailable) || ctx.Err() != nil:
			return container.ExitStatus{}, err
		}
		if err := pause(ctx); err != nil {
			return container.ExitStatus{}, err
		}
	}
}

func awaitOnce(ctx context.Context, exe, bundleDir string) (container.ExitStatus, error) {
	c, err := Ensure(ctx, exe, bundleDir)
	if err == nil {
		defer c.Close()
		return c.Wait(ctx)
	}
	if !errors.Is(err, fault.NotRunning) {
		return container.ExitStatus{}, err
	}
	cfg, cerr := ReadConfig(bundleDir)
	if cerr != nil {
		return container.ExitStatus{}, cerr
	}
	s, serr := container.ReadStatus(cfg.StatusFile)
	if serr != nil {
		return container.ExitStatus{}, serr
	}
	if s.Exit == nil {
		return container.ExitStatus{}, err
	}
	return *s.Exit, nil
}
