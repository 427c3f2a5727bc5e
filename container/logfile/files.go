package logfile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// tries bounds how often a reader looks again while files are being renamed;
// a rotation takes microseconds. A writer that died half way through one
// leaves a gap in the numbers: after the tries the gap is taken as it is.
const tries = 50

// files opens the log and its rotated predecessors, oldest first. The set is
// of one moment: it is opened, then every name is checked again.
func files(ctx context.Context, path string) ([]*os.File, error) {
	for i := 0; ; i++ {
		set, holes, err := openAll(path)
		if err != nil {
			return nil, err
		}
		if unchanged(path, set) && (!holes || i >= tries) {
			return compact(set), nil
		}
		closeFiles(set)
		if err := rest(ctx, time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// openAll opens path, path.1, … up to two missing numbers in a row; a missing
// one is nil. holes says that a file was found behind a missing one.
func openAll(path string) (set []*os.File, holes bool, err error) {
	for i, missing := 0, 0; missing < 2; i++ {
		f, err := os.Open(numbered(path, i))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing++
		case err != nil:
			closeFiles(set)
			return nil, false, err
		default:
			holes = holes || missing > 0
			missing = 0
		}
		set = append(set, f)
	}
	return set, holes, nil
}

func unchanged(path string, set []*os.File) bool {
	for i, f := range set {
		now, err := os.Stat(numbered(path, i))
		if f == nil || err != nil {
			if f == nil && err != nil {
				continue
			}
			return false
		}
		if then, err := f.Stat(); err != nil || !os.SameFile(then, now) {
			return false
		}
	}
	return true
}

// compact drops the missing ones and puts the oldest first.
func compact(set []*os.File) []*os.File {
	var out []*os.File
	for i := len(set) - 1; i >= 0; i-- {
		if set[i] != nil {
			out = append(out, set[i])
		}
	}
	return out
}

func closeFiles(set []*os.File) {
	for _, f := range set {
		if f != nil {
			f.Close()
		}
	}
}

// rest waits for d or for the end of ctx.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
