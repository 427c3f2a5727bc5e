package logfile

import (
	"bytes"
	"io"
	"os"
)

// maxLine bounds one line of the file, in bytes. Ours are shorter; a longer
// one was not written by a log driver and is skipped.
const maxLine = 1 << 20

// lines reads whole lines of a file that may still grow. It reads by offset
// and forgets a last line without LF, to read it again: what a crash left
// there may be cut off and replaced.
type lines struct {
	f          *os.File
	off        int64 // of buf[0] in the file
	buf        []byte
	start, end int
	skip       bool // inside a line that is too long
}

func newLines(f *os.File, off int64) *lines {
	return &lines{f: f, off: off, buf: make([]byte, 64<<10)}
}

// next returns the next line without its LF, valid until the next call, and
// io.EOF when there is none yet.
func (l *lines) next() ([]byte, error) {
	scanned := l.start
	for {
		if i := bytes.IndexByte(l.buf[scanned:l.end], '\n'); i >= 0 {
			line := l.buf[l.start : scanned+i]
			l.start = scanned + i + 1
			if l.skip {
				l.skip = false
				scanned = l.start
				continue
			}
			return line, nil
		}
		l.room()
		scanned = l.end
		n, err := l.f.ReadAt(l.buf[l.end:], l.off+int64(l.end))
		l.end += n
		if n == 0 {
			l.end = l.start // an incomplete line is read again
			if err == nil {
				err = io.ErrNoProgress
			}
			return nil, err
		}
	}
}

// room makes space behind the bytes that are held.
func (l *lines) room() {
	if l.start > 0 {
		copy(l.buf, l.buf[l.start:l.end])
		l.off += int64(l.start)
		l.end -= l.start
		l.start = 0
	}
	if l.end < len(l.buf) {
		return
	}
	if len(l.buf) < maxLine {
		l.buf = append(l.buf, make([]byte, len(l.buf))...)
		return
	}
	l.skip = true
	l.off += int64(l.end)
	l.end = 0
}

// before calls f with the lines of file that end at or before offset end,
// last one first, and the offset behind each, until f returns false.
func before(file *os.File, end int64, f func(line []byte, after int64) bool) error {
	const block = 64 << 10
	var held []byte // bytes from start to the end of the line under way
	after := end
	for start := end; start > 0; {
		n := min(start, block)
		start -= n
		chunk := make([]byte, int(n), int(n)+len(held))
		if _, err := file.ReadAt(chunk, start); err != nil {
			return err
		}
		held = append(chunk, held...)
		for {
			i := bytes.LastIndexByte(held[:max(len(held)-1, 0)], '\n')
			if i < 0 {
				break
			}
			if !f(bytes.TrimSuffix(held[i+1:], []byte("\n")), after) {
				return nil
			}
			after, held = start+int64(i)+1, held[:i+1]
		}
		if len(held) > maxLine {
			return nil
		}
	}
	if len(held) > 0 {
		f(bytes.TrimSuffix(held, []byte("\n")), after)
	}
	return nil
}
