package server

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container/monitor/internal/wire"
)

// nameProcess tells monitors apart from other runs of the same program.
func nameProcess() { _ = poke("/proc/self/comm", "berth-monitor") }

// poke writes to a file of proc, without the calls that find out whether the
// poller could watch it.
func poke(path, text string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	return err
}

// A monitor gives back what it does not need when nothing has happened for a
// while: after the start, after each exec, and after each time that much has
// flowed. It is long enough that who starts many containers does not pay for
// those of a moment ago. A variable for tests, which have no time.
var quietFor = 5 * time.Second

const (
	muchFlow = 1 << 20

	retryMost = time.Minute // between two looks whether it is possible now
)

// grown says that work was done for which memory was taken.
func (s *server) grown() {
	s.worked.Store(true)
	s.moved()
}

// keepSmall has memory given back while nothing happens.
func (s *server) keepSmall() {
	t := time.NewTimer(quietFor)
	defer t.Stop()
	// What keeps a monitor from beginning anew may end without a sign.
	again := time.NewTimer(retryMost)
	defer again.Stop()
	retry := quietFor
	var seen, freed int64
	for {
		select {
		case <-s.ended:
			return
		case <-s.stir:
			retry = quietFor
		case <-again.C:
			retry = min(2*retry, retryMost)
		}
		// something happened: wait until it is quiet again
		for seen = -1; seen != s.volume.Load(); {
			seen = s.volume.Load()
			t.Reset(quietFor)
			select {
			case <-s.ended:
				return
			case <-t.C:
			}
		}
		if s.worked.Swap(false) || seen-freed >= muchFlow {
			freed = seen
			s.stale.Store(true)
			s.wasteful.Store(true)
		}
		if l := s.alive(); l != nil && s.stale.Load() {
			l.proc.wake() // supervise calls shrink
			again.Reset(retry)
		}
	}
}

// shrink gives memory back. The best way is to begin anew; while somebody is
// connected it is done without, and again when nobody is.
func (s *server) shrink(l *life, size *wire.Size) {
	s.renew(l, size)
	if s.wasteful.Swap(false) {
		debug.FreeOSMemory()
	}
}

// score keeps the monitor safe from the kernel's out-of-memory killer, and
// what it forks as exposed as the monitor itself was at first. Where it may
// not be lowered it stays as it is.
type score struct {
	mu      sync.Mutex
	first   string // at start
	lowered bool
	forks   int // under way
}

const (
	scoreFile = "/proc/self/oom_score_adj"
	lowest    = -999
)

func (s *score) init() {
	text, err := os.ReadFile(scoreFile)
	if err != nil {
		return
	}
	s.first = strings.TrimSpace(string(text))
	s.lower()
}

func (s *score) lower() {
	s.lowered = s.first != "" && poke(scoreFile, strconv.Itoa(lowest)) == nil
}

// forking is called before a fork, and what it returns after it.
func (s *score) forking() (after func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forks++
	if s.forks == 1 && s.lowered {
		_ = poke(scoreFile, s.first) // raising is always allowed
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forks--
		if s.forks == 0 && s.lowered {
			s.lower()
		}
	}
}
