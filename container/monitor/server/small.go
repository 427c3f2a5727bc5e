package server

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
)

// nameProcess tells monitors apart from other runs of the same program.
func nameProcess() { _ = os.WriteFile("/proc/self/comm", []byte("berth-monitor"), 0) }

// A monitor is given back to the kernel what it does not need: soon after the
// start, and after each time that much has flowed.
const (
	quietFor = time.Second
	muchFlow = 1 << 20
)

// keepSmall returns freed memory to the kernel while nothing happens.
func (s *server) keepSmall() {
	t := time.NewTimer(quietFor)
	defer t.Stop()
	s.worked.Store(true) // the start was work
	s.moved()
	var seen, freed int64
	for {
		select {
		case <-s.ended:
			return
		case <-s.stir:
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
		if seen-freed >= muchFlow || s.worked.Swap(false) {
			debug.FreeOSMemory()
			freed = seen
		}
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
	s.lowered = s.first != "" && os.WriteFile(scoreFile, []byte(strconv.Itoa(lowest)), 0) == nil
}

// forking is called before a fork, and what it returns after it.
func (s *score) forking() (after func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forks++
	if s.forks == 1 && s.lowered {
		_ = os.WriteFile(scoreFile, []byte(s.first), 0) // raising is always allowed
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
