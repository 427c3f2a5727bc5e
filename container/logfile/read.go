package logfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/berth-engine/berth/internal/fault"
)

// maxJoin bounds a line that is put together from pieces; a longer one is
// delivered in parts of about this size.
const maxJoin = 1 << 20

// Entry is a line of output, or a part of one.
type Entry struct {
	Stream Stream
	Time   time.Time // when its first piece was read from the payload
	// Line is valid until emit returns. It ends with LF, unless the payload
	// stopped without one or the line is so long that it comes in parts.
	Line []byte
	// Continued marks all but the first part of such a line.
	Continued bool
	// Gap, with nothing else set, says that lines were rotated away before
	// this reader got to them.
	Gap bool
}

// ReadOptions choose lines. The zero value is all that is kept now.
type ReadOptions struct {
	Since, Until time.Time // zero: no bound
	Tail         int       // only the last n lines; 0: all, negative: none
	Follow       bool      // wait for more
	// Ended reports that the container has ended, and with it the log: what is
	// there by then is delivered and Read returns. Called a few times a
	// second, only with Follow. nil: never.
	Ended func() bool
}

// Read calls emit for the chosen lines of the log at path, oldest first. It
// returns the error of emit, of ctx, or of the disk; lines that are damaged
// are left out. A log that does not exist is empty.
func Read(ctx context.Context, path string, o ReadOptions, emit func(Entry) error) error {
	set, err := files(ctx, path)
	if err != nil {
		return fault.Op("log.read", path, err)
	}
	r := &reader{path: path, o: o, emit: emit}
	defer r.close()
	return r.run(ctx, set)
}

type reader struct {
	path string
	o    ReadOptions
	emit func(Entry) error

	now  *lines // the file being read; nil: none yet
	text []byte // of the record under way
	join [2]joined
}

// joined is the beginning of a line whose rest is to come.
type joined struct {
	text      []byte
	time      time.Time
	continued bool
}

// errUntil ends a follow whose time is over.
var errUntil = errors.New("until")

func (r *reader) run(ctx context.Context, set []*os.File) error {
	err := r.stored(ctx, set)
	if err == nil && r.o.Follow {
		err = r.follow(ctx)
	}
	if err == nil {
		err = r.rest()
	}
	if errors.Is(err, errUntil) {
		return nil
	}
	return err
}

// stored reads the files that were there at the beginning and keeps the last
// one open.
func (r *reader) stored(ctx context.Context, set []*os.File) error {
	first, off, err := tail(set, r.o.Tail)
	for i, f := range set {
		if err != nil || i < first {
			f.Close()
			continue
		}
		r.close()
		r.now = newLines(f, off)
		off = 0
		err = r.drain(ctx)
	}
	return err
}

func (r *reader) close() {
	if r.now != nil {
		r.now.f.Close()
		r.now = nil
	}
}

// drain emits all complete lines of the current file.
func (r *reader) drain(ctx context.Context) error {
	for n := 0; r.now != nil; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := r.now.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.Op("log.read", r.path, err)
		}
		rec, err := parse(line, r.text)
		if err != nil {
			continue
		}
		r.text = rec.text
		if err := r.record(rec); err != nil {
			return err
		}
	}
	return nil
}

// record joins pieces to lines.
func (r *reader) record(rec record) error {
	j := &r.join[rec.stream]
	whole := bytes.HasSuffix(rec.text, []byte("\n"))
	if whole && len(j.text) == 0 && !j.continued {
		return r.line(Entry{Stream: rec.stream, Time: rec.time, Line: rec.text})
	}
	if len(j.text) == 0 && !j.continued {
		j.time = rec.time
	}
	j.text = append(j.text, rec.text...)
	if !whole && len(j.text) < maxJoin {
		return nil
	}
	err := r.line(Entry{Stream: rec.stream, Time: j.time, Line: j.text, Continued: j.continued})
	j.text, j.continued = j.text[:0], !whole
	if whole && cap(j.text) > 4*Piece {
		j.text = nil
	}
	return err
}

// rest emits last lines that have no LF.
func (r *reader) rest() error {
	for s := range r.join {
		j := &r.join[s]
		if len(j.text) == 0 {
			continue
		}
		if err := r.line(Entry{Stream: Stream(s), Time: j.time, Line: j.text, Continued: j.continued}); err != nil {
			return err
		}
		*j = joined{}
	}
	return nil
}

func (r *reader) line(e Entry) error {
	if !r.o.Until.IsZero() && e.Time.After(r.o.Until) {
		if r.o.Follow {
			return errUntil
		}
		return nil
	}
	if !r.o.Since.IsZero() && e.Time.Before(r.o.Since) {
		return nil
	}
	return r.emit(e)
}

// tail finds where the last n lines begin: the file and the offset in it.
func tail(set []*os.File, n int) (first int, off int64, err error) {
	if n == 0 {
		return 0, 0, nil
	}
	if n < 0 {
		return none(set)
	}
	n++ // the end of the line before the first wanted one
	var text []byte
	open := true // a last line without LF counts as a line
	for i := len(set) - 1; i >= 0; i-- {
		st, err := set[i].Stat()
		if err != nil {
			return 0, 0, err
		}
		found := int64(-1)
		err = before(set[i], st.Size(), func(line []byte, after int64) bool {
			rec, err := parse(line, text)
			if err != nil {
				return true
			}
			text = rec.text
			if bytes.HasSuffix(rec.text, []byte("\n")) || open && n > 1 {
				n--
			}
			open = false
			if n == 0 {
				found = after
			}
			return n > 0
		})
		if err != nil {
			return 0, 0, err
		}
		if found >= 0 {
			return i, found, nil
		}
	}
	return 0, 0, nil
}

// none finds the end of all that is there.
func none(set []*os.File) (first int, off int64, err error) {
	if len(set) == 0 {
		return 0, 0, nil
	}
	last := len(set) - 1
	st, err := set[last].Stat()
	if err != nil {
		return 0, 0, err
	}
	return last, st.Size(), nil
}
