package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/logfile"
	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/fault"
)

// server is one monitor.
type server struct {
	cfg      monitor.Config
	rt       Runtime
	log      *logfile.Writer // nil: no log is kept
	volume   atomic.Int64    // bytes of output so far
	worked   atomic.Bool     // a request was served since memory was last given back
	stale    atomic.Bool     // this process is larger than a new one would be
	wasteful atomic.Bool     // much of it could be freed
	stir     chan struct{}   // something happened, for the memory keeper
	busy     sync.RWMutex    // held for reading by all that is under way, for writing to be born anew
	rebirth  bool            // the process is the server's own: it may
	score    score
	pause    backoff
	door     *door
	after    func(time.Duration) <-chan time.Time // time.After; tests have their own clock

	starts chan start    // the one start request
	halt   chan struct{} // closed by the first stop-restarting
	ended  chan struct{} // closed when the container has ended for good
	quit   chan struct{} // closed when the monitor leaves
	lost   string        // why an adopted payload is ended

	freezing sync.Mutex // one pause or resume at a time

	mu      sync.Mutex
	execs   int // processes of exec under way
	status  container.Status
	life    *life // nil: no payload
	started bool  // a start was asked for
	clients map[*client]struct{}
	waiters []waiter
	exit    container.ExitStatus // valid once ended is closed
	over    bool                 // the last payload has ended; for who reaps
	reaper  *client              // it removes the container
	keeper  *client              // it will start the container again
	kept    bool                 // as the keeper was there at the end, nobody removes the container
}

// start is a request to start, and where to answer.
type start struct {
	from *client
	m    *wire.Message
}

// waiter wants to hear of the end.
type waiter struct {
	from *client
	seq  uint64
	reap bool
}

// errUnused ends a monitor whose first client left before it said start.
var errUnused = fault.New(fault.Unavailable, "the client left before it started the container")

func newServer(cfg monitor.Config, rt Runtime) *server {
	return &server{
		cfg: cfg, rt: rt, after: time.After,
		starts: make(chan start), halt: make(chan struct{}), ended: make(chan struct{}), quit: make(chan struct{}),
		stir: make(chan struct{}, 1), clients: map[*client]struct{}{},
	}
}

// Run serves the container that cfg describes: it waits on the connection
// first for the request to start, and returns when the container has ended
// for good. The error is that of a container that did not start, which the
// client was told too.
func Run(cfg monitor.Config, rt Runtime, first *os.File) error {
	s := newServer(cfg, rt)
	s.rebirth = true
	return fault.Op("monitor", cfg.ID, s.run(first))
}

func (s *server) run(first *os.File) error {
	var err error
	if s.log, err = openLog(s.cfg); err != nil {
		return refuse(first, err)
	}
	if s.door, err = listen(s.cfg.RunDir); err != nil {
		return refuse(first, err)
	}
	defer s.close()
	boss, err := s.open(first)
	if err != nil {
		return err
	}
	select {
	case q := <-s.starts:
		return s.serve(q)
	case <-boss.gone:
		return errUnused
	}
}

// open begins to serve connections: first, and those that come to the door.
func (s *server) open(first *os.File) (*client, error) {
	nameProcess()
	s.score.init()
	link, err := linkOf(first)
	if err != nil {
		return nil, err
	}
	boss := s.admit(link)
	go s.door.accept(&s.busy, s.serveConn)
	return boss, nil
}

// openLog opens the log; nil when none is kept.
func openLog(cfg monitor.Config) (*logfile.Writer, error) {
	if cfg.LogFile == "" {
		return nil, nil
	}
	return logfile.NewWriter(cfg.LogFile, logfile.Options{MaxSize: cfg.LogMaxSize, MaxFiles: cfg.LogMaxFile})
}

// moved tells the memory keeper that something happened.
func (s *server) moved() {
	select {
	case s.stir <- struct{}{}:
	default:
	}
}

func (s *server) close() {
	close(s.quit)
	s.door.close()
	unlink(filepath.Join(s.cfg.RunDir, wire.Socket))
	if s.log != nil {
		_ = s.log.Close() // what is lost is in the status
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.clients {
		c.drop()
	}
}

// serve starts the container and stays with it to its end.
func (s *server) serve(q start) error {
	if q.m.Attach != nil {
		q.from.attach(*q.m.Attach)
	}
	q.from.patience = starterPatience
	l, err := s.begin(context.Background(), q.m.Size)
	if err == nil {
		err = s.running(l, 0)
	}
	if err != nil {
		s.failed(err)
		s.mu.Lock()
		if s.cfg.Remove {
			s.reaper = q.from // who is told that it did not start removes it
		}
		s.mu.Unlock()
		q.from.say(&wire.Message{Op: wire.Failed, Seq: q.m.Seq, Err: wire.NewError(err)})
		s.finish(*s.current().Exit)
		return err
	}
	q.from.say(&wire.Message{Op: wire.OK, Seq: q.m.Seq, Pid: l.proc.pid})
	s.grown()
	s.supervise(l, q.m.Size)
	return nil
}

// supervise lives through the payload's lives until the last has ended.
func (s *server) supervise(l *life, size *wire.Size) {
	go s.keepSmall()
	for count := s.current().RestartCount; ; {
		began := s.began(l)
		exit := container.ExitStatus{Code: 128, Cause: "the container did not start again"}
		var cleared chan error
		if l != nil {
			exit = s.await(l, size)
			cleared = s.clear(l)
		}
		ran := time.Since(began)
		s.mu.Lock()
		s.life = nil
		s.mu.Unlock()
		if s.halted() || !again(s.cfg.Restart, exit, count) {
			s.finish(exit)
			s.settle(cleared)
			return
		}
		s.settle(cleared)
		s.set(func(st *container.Status) { restarting(st, exit) })
		select {
		case <-s.after(s.pause.next(ran)):
		case <-s.halt:
			s.finish(exit)
			return
		}
		count++
		l = s.restart(count, size)
	}
}

// began is when l did: before this process, if it is a later one.
func (s *server) began(l *life) time.Time {
	if l == nil {
		return time.Now()
	}
	return s.current().StartedAt
}

// restart begins another life; nil when that does not succeed.
func (s *server) restart(count int, size *wire.Size) *life {
	l, err := s.begin(context.Background(), size)
	if err == nil {
		err = s.running(l, count)
	}
	if err != nil {
		s.set(func(st *container.Status) { st.RestartCount, st.Error = count, err.Error() })
		return nil
	}
	return l
}

// settle waits for a clean-up that was not done in time for the waiters.
func (s *server) settle(cleared chan error) {
	if cleared == nil {
		return
	}
	if err := <-cleared; err != nil {
		s.set(func(st *container.Status) {
			st.Note = join(st.Note, "not all of the container could be removed: "+err.Error())
		})
	}
}

func (s *server) halted() bool {
	select {
	case <-s.halt:
		return true
	default:
		return false
	}
}

// attached returns who gets output now.
func (s *server) attached() []*client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.clients) == 0 {
		return nil
	}
	list := make([]*client, 0, len(s.clients))
	for c := range s.clients {
		list = append(list, c)
	}
	return list
}

// join puts two notes into one line.
func join(a, b string) string {
	if a == "" {
		return b
	}
	return fmt.Sprintf("%s; %s", a, b)
}

// notRunning is the refusal of what needs a payload.
func (s *server) notRunning() error {
	return fault.New(fault.NotRunning, "container %s is not running", s.cfg.ID)
}

// isGone reports whether err means that a file is not there.
func isGone(err error) bool { return errors.Is(err, os.ErrNotExist) }

// asCoded returns the exit code that err proposes.
func asCoded(err error) (int, bool) {
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode(), true
	}
	return 0, false
}
