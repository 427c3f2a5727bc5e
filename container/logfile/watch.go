package logfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// watcher waits for changes in the directory of a log: by inotify, and by the
// clock where there are no watches left. The file is pollable, so a waiting
// reader holds no thread.
type watcher struct{ f *os.File }

func newWatcher(path string) *watcher {
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		return &watcher{}
	}
	const events = syscall.IN_MODIFY | syscall.IN_CREATE | syscall.IN_MOVED_TO | syscall.IN_DELETE_SELF
	if _, err := syscall.InotifyAddWatch(fd, filepath.Dir(path), events); err != nil {
		syscall.Close(fd)
		return &watcher{}
	}
	return &watcher{os.NewFile(uintptr(fd), "inotify")}
}

// wait returns at the next change, after a tick, or with the end of ctx.
func (w *watcher) wait(ctx context.Context) error {
	if w.f == nil {
		return rest(ctx, tick)
	}
	if err := w.f.SetReadDeadline(time.Now().Add(tick)); err != nil {
		return rest(ctx, tick)
	}
	stop := context.AfterFunc(ctx, func() { _ = w.f.SetReadDeadline(time.Now()) })
	defer stop()
	var events [4096]byte
	_, err := w.f.Read(events[:])
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.close()
		w.f = nil
	}
	return nil
}

func (w *watcher) close() {
	if w.f != nil {
		w.f.Close()
	}
}
