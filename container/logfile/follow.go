package logfile

import (
	"context"
	"os"
	"time"
)

// tick is how often a follower looks for the end of the container, and for
// new lines where the kernel sends no notices.
const tick = 250 * time.Millisecond

// follow delivers lines as they come until the container has ended.
//
//	Ended? ── drain ── rotated? ──yes──► drain the old file, go to its successor
//	   ▲                  │no
//	   └──── wait ◄───────┘ ended was true before the drain: done
func (r *reader) follow(ctx context.Context) error {
	w := newWatcher(r.path)
	defer w.close()
	for {
		ended := r.o.Ended != nil && r.o.Ended()
		if !r.o.Until.IsZero() && time.Now().After(r.o.Until) {
			ended = true
		}
		if err := r.drain(ctx); err != nil {
			return err
		}
		moved, err := r.advance(ctx)
		switch {
		case err != nil:
			return err
		case moved:
			continue
		case ended:
			return nil
		}
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
}

// advance goes on to the next file when the current one was rotated. Nothing
// is written to a file after its rename, so one more drain empties it.
func (r *reader) advance(ctx context.Context) (moved bool, err error) {
	current, err := os.Stat(r.path)
	if err != nil {
		return false, nil // between two renames, or removed: the end is for Ended to say
	}
	if r.now != nil {
		mine, err := r.now.f.Stat()
		if err != nil || os.SameFile(mine, current) {
			return false, err
		}
		if err := r.drain(ctx); err != nil {
			return false, err
		}
	}
	set, err := files(ctx, r.path)
	if err != nil || len(set) == 0 {
		return false, err
	}
	next, gap := successor(set, r.now)
	for i, f := range set {
		if i != next {
			f.Close()
		}
	}
	if next == len(set) {
		return false, nil // renamed back and forth under us: look again
	}
	if gap {
		r.join = [2]joined{}
		if err := r.emit(Entry{Gap: true}); err != nil {
			set[next].Close()
			return false, err
		}
	}
	r.close()
	r.now = newLines(set[next], 0)
	return true, nil
}

// successor finds the file after the current one; gap says that it is no
// longer known, so the oldest is next.
func successor(set []*os.File, now *lines) (i int, gap bool) {
	if now == nil {
		return 0, false
	}
	mine, err := now.f.Stat()
	if err != nil {
		return 0, true
	}
	for i, f := range set {
		if st, err := f.Stat(); err == nil && os.SameFile(st, mine) {
			return i + 1, false
		}
	}
	return 0, true
}
