package server

import (
	"time"

	"github.com/berth-engine/berth/container"
)

// The pauses between restarts: they double, and begin anew once a run has
// lasted.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Minute
	healthy    = 10 * time.Second
)

// backoff is the pause before the next restart.
type backoff struct{ pause time.Duration }

// next returns the pause after a run that lasted ran.
func (b *backoff) next(ran time.Duration) time.Duration {
	switch {
	case ran >= healthy || b.pause == 0:
		b.pause = firstPause
	default:
		b.pause = min(2*b.pause, lastPause)
	}
	return b.pause
}

// again reports whether a container that ended with exit is started once
// more, after it was restarted count times.
func again(p container.RestartPolicy, exit container.ExitStatus, count int) bool {
	switch p.Name {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return exit.Code != 0 && (p.MaxRetries <= 0 || count < p.MaxRetries)
	}
	return false
}
