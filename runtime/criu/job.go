package criu

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/cleanup"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/internal/scrap"
)

// Job is one thing to do for CRIU.
type Job struct {
	Request
	// ImagesDir and WorkDir are the directories that Run opens for the request.
	ImagesDir, WorkDir string
	// Started is called when CRIU is there and has not been asked yet.
	Started func(pid int) error
	// At is called at each step, with the descriptor that comes with it, which
	// is then At's. An error has CRIU undo what it did.
	At func(e Event, with *os.File) error

	dirs  []*os.File  // those two
	files []*os.File  // CRIU's descriptors from firstFileNumber on
	says  scrap.Scrap // what criu prints

	patience time.Duration // see below; for tests
	stuck    bool
	serving  bool // everything is written but pages that others fetch from CRIU
}

// patience is how long CRIU may take for a step when all processes are there
// and it only has to give them their rights and let them go. When that fails it
// waits for processes that wait for it: those it has stopped, and killed by
// ending the first one of their PID namespace.
const patience = 10 * time.Second

// firstFileNumber: before it are the standard streams and CRIU's socket.
const firstFileNumber = 4

// Pass hands a file to CRIU and returns its number there.
func (j *Job) Pass(f *os.File) int {
	j.files = append(j.files, f)
	return firstFileNumber + len(j.files) - 1
}

// Run does the job. CRIU and our own program are gone when it returns; a
// restored process, whose number came with PostRestore, is a child of ours.
//
// When ctx ends CRIU gives up at its next step, if it comes to one: a job that
// is done is done. Lazy pages, which may be waited for in vain, end at once.
func (j *Job) Run(ctx context.Context) (err error) {
	if err := j.Check(); err != nil {
		return err
	}
	prog, err := find()
	if err != nil {
		return err
	}
	undo := cleanup.New()
	defer func() { err = errors.Join(err, undo.Run()) }()
	undo.Add(j.closeDirs)
	wire, err := j.start(prog, undo)
	if err != nil {
		return err
	}
	if j.LazyPages {
		stop := context.AfterFunc(ctx, wire.hangUp)
		defer stop()
	}
	if err := wire.Send(j.Request, nil); err != nil {
		return err
	}
	err = j.follow(ctx, wire)
	if err != nil && ctx.Err() != nil {
		j.stuck = j.stuck || j.serving // it listens to nobody but who fetches pages
		return context.Cause(ctx)
	}
	return err
}

// start starts both programs. Their end is on the stack: first our end of the
// wire is closed, which ends the relay, whose end is CRIU's.
func (j *Job) start(prog programs, undo *cleanup.Stack) (*Wire, error) {
	client, server, err := pair()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	defer server.Close()
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	wire := NewWire(ours)
	undo.Add(wire.Close)
	relay := exec.Command(prog.relay)
	relay.ExtraFiles = []*os.File{theirs, client}
	relay.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := relay.Start(); err != nil {
		return nil, fault.New(fault.Unavailable, "cannot start %s: %w", prog.relay, err)
	}
	work := exec.Command(prog.criu, "swrk", "3")
	work.ExtraFiles = append([]*os.File{server}, j.files...)
	work.Stderr = &j.says
	work.WaitDelay = time.Second
	// An interrupt from the terminal is for us to hear: CRIU that dies half-way
	// leaves processes with its own code in them.
	work.SysProcAttr = &syscall.SysProcAttr{Setpgid: !j.ShellJob}
	err = j.begin(work)
	undo.Add(func() error { return j.ends(wire, relay, work) })
	if err == nil && j.Started != nil {
		err = j.Started(work.Process.Pid)
	}
	return wire, err
}

// ends waits for both. How CRIU ended has been told by then: after a pre-dump
// it waits for more, and calls it an error that nothing comes.
func (j *Job) ends(wire *Wire, relay, work *exec.Cmd) error {
	wire.hangUp()
	if j.stuck {
		_ = work.Process.Kill() // whom the relay listens to
	}
	err := relay.Wait()
	if work.Process != nil {
		_ = work.Wait()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// follow answers each step until the last word.
func (j *Job) follow(ctx context.Context, wire *Wire) error {
	var refused error
	for {
		var e Event
		with, err := wire.Receive(&e)
		if err == nil {
			err = e.check()
		}
		switch {
		case err != nil && refused != nil: // what comes of that is no news
			return errors.Join(refused, closeFile(with))
		case errors.Is(err, io.EOF):
			return j.failed("ended without an answer")
		case errors.Is(err, unix.EAGAIN):
			j.stuck = true
			return j.failed("did not come to an end")
		case err != nil:
			return errors.Join(err, closeFile(with))
		}
		switch {
		case e.Done:
			return refused
		case e.Error != "" && refused != nil:
			return refused // CRIU only says that it was told to give up
		case e.Error != "":
			return j.failed(e.Error)
		}
		if err := j.at(e, with); err != nil && refused == nil {
			refused = err
		}
		switch e.Step {
		case PostRestore:
			wire.limit(cmp.Or(j.patience, patience))
		case StatusReady:
			j.serving = true
		}
		if err := wire.Send(Answer{Go: refused == nil && ctx.Err() == nil}, nil); err != nil && refused == nil {
			return err
		}
	}
}

func (j *Job) at(e Event, with *os.File) error {
	if j.At == nil {
		return closeFile(with)
	}
	return j.At(e, with)
}

// failed tells what CRIU has against it: in its log, or where it did not come
// to have one, by what it printed.
func (j *Job) failed(how string) error {
	log := filepath.Join(j.WorkDir, j.Log)
	why := quote(tail(log))
	if why == "" {
		why = quote(j.says.String())
	}
	switch {
	case strings.Contains(why, "kerndat"): // CRIU's name for what it finds out about a kernel
		return fault.New(fault.Unsupported, "criu does not work on kernel %s: %s (install a newer criu)", kernel.Release(), why)
	case why != "":
		return fault.New(fault.Unavailable, "criu %s: %s (the whole log is in %s)", j.Verb, why, log)
	}
	return fault.New(fault.Unavailable, "criu %s: %s (its log would be in %s)", j.Verb, clip(how), log)
}
