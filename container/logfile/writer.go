package logfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/berth-engine/berth/internal/fault"
)

// Buffers grow with the flow of data. What is kept while nothing flows is at
// most keepBuffer; batch is how much is encoded before it is written.
const (
	keepBuffer = 8 << 10
	batch      = 64 << 10
)

// Options of a Writer.
type Options struct {
	MaxSize  int64 // bytes per file; 0: DefaultMaxSize
	MaxFiles int   // files kept, the current one included; 0: DefaultMaxFiles
}

// Writer appends to the log of one container. It may be used by many
// goroutines. Its errors are for the record: a payload whose log cannot be
// written goes on.
type Writer struct {
	mu      sync.Mutex
	path    string
	max     Options
	f       *os.File
	size    int64
	pending [2][]byte // a line under way, per stream; less than Piece
	out     []byte    // encoded, not yet written
	records int64     // in out
	lost    Loss
}

// Loss counts what could not be kept.
type Loss struct {
	Records int64
	Last    error // why, the last time
}

// NewWriter opens the log at path. A half line at its end, left by a crash, is
// cut off. A log that is not there is made with its first line: many
// containers never write one.
func NewWriter(path string, o Options) (*Writer, error) {
	if o.MaxSize <= 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.MaxFiles <= 0 {
		o.MaxFiles = DefaultMaxFiles
	}
	w := &Writer{path: path, max: o}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return nil, fault.Op("log.open", path, err)
		}
		return w, nil
	}
	if err := w.open(); err != nil {
		return nil, fault.Op("log.open", path, err)
	}
	return w, nil
}

func (w *Writer) open() error {
	f, err := os.OpenFile(w.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	size, err := cutTail(f)
	if err != nil {
		f.Close()
		return err
	}
	w.f, w.size = f, size
	return nil
}

// cutTail removes what follows the last LF. Our own records are shorter than
// the window; in a foreign file without any LF there nothing is cut.
func cutTail(f *os.File) (int64, error) {
	st, err := f.Stat()
	if err != nil || st.Size() == 0 {
		return 0, err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], st.Size()-1); err != nil || last[0] == '\n' {
		return st.Size(), err
	}
	window := make([]byte, min(st.Size(), 256<<10))
	from := st.Size() - int64(len(window))
	if _, err := f.ReadAt(window, from); err != nil {
		return 0, err
	}
	end := from + int64(bytes.LastIndexByte(window, '\n')) + 1
	if end == from && from > 0 {
		_, err := f.Write([]byte("\n"))
		return st.Size() + 1, err
	}
	return end, f.Truncate(end)
}

// Write adds output of the payload that was read at t. It keeps no reference
// to data. A last line without LF waits for its rest, at most Piece bytes.
func (w *Writer) Write(s Stream, data []byte, t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(data) > 0 {
		room := Piece - len(w.pending[s])
		n := bytes.IndexByte(data, '\n') + 1
		if n == 0 || n > room {
			n = min(room, len(data))
		}
		whole := data[n-1] == '\n' || n == room
		if !whole {
			w.pending[s] = append(w.pending[s], data[:n]...)
			break
		}
		w.piece(s, data[:n], t)
		data = data[n:]
	}
	return w.flush()
}

// piece encodes the pending text of s and more as one record; what would cut
// a character in two at the end waits for the next.
func (w *Writer) piece(s Stream, more []byte, t time.Time) {
	text := more
	if len(w.pending[s]) > 0 {
		w.pending[s] = append(w.pending[s], more...)
		text = w.pending[s]
	}
	cut := len(text)
	if text[cut-1] != '\n' {
		cut -= splitRune(text)
	}
	start := len(w.out)
	w.out = appendRecord(w.out, record{text: text[:cut], stream: s, time: t})
	w.records++
	w.fit(start)
	w.pending[s] = append(w.pending[s][:0], text[cut:]...)
	if cap(w.pending[s]) > keepBuffer && len(w.pending[s]) == 0 {
		w.pending[s] = nil
	}
	if len(w.out) >= batch {
		_ = w.flush() // counted
	}
}

// splitRune returns how many bytes at the end of text begin a character that
// is not complete.
func splitRune(text []byte) int {
	for n := 1; n < utf8.UTFMax && n < len(text); n++ {
		if c := text[len(text)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(text[len(text)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// fit begins a new file when the record at out[start:] would make the current
// one too large.
func (w *Writer) fit(start int) {
	if w.size+int64(len(w.out)) <= w.max.MaxSize || w.size+int64(start) == 0 {
		return
	}
	last := append([]byte(nil), w.out[start:]...)
	w.out = w.out[:start]
	w.records--
	_ = w.flush()
	if err := w.rotate(); err != nil {
		w.lost.Records++
		w.lost.Last = err
		return
	}
	w.out, w.records = append(w.out, last...), 1
}

// flush writes the encoded records. If the disk takes only a part, that part
// is taken back, so the file always ends with a whole record.
func (w *Writer) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	n, err := len(w.out), error(nil)
	if w.f == nil {
		err = w.open()
	}
	if err == nil {
		if n, err = w.f.Write(w.out); err != nil && n > 0 {
			if terr := w.f.Truncate(w.size); terr != nil {
				w.f.Close()
				w.f = nil // opening it again cuts the half record off
			}
		}
	}
	if err == nil {
		w.size += int64(n)
	} else {
		w.lost.Records += w.records
		w.lost.Last = err
	}
	w.out, w.records = w.out[:0], 0
	if cap(w.out) > 4*batch {
		w.out = nil
	}
	return fault.Op("log.write", w.path, err)
}

// Settled reports whether all that was written is in the file: no line is under
// way, none was lost.
func (w *Writer) Settled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending[Stdout])+len(w.pending[Stderr])+len(w.out) == 0 && w.lost.Records == 0
}

// Idle gives back the memory of a burst. The pump calls it when the payload
// is silent.
func (w *Writer) Idle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cap(w.out) > keepBuffer {
		w.out = nil
	}
}

// rotate renames the files up by one, which drops the oldest, and begins a
// new current file. Readers hold the old ones open.
func (w *Writer) rotate() error {
	if w.max.MaxFiles == 1 {
		return w.replace()
	}
	for i := w.max.MaxFiles - 1; i > 0; i-- {
		if err := os.Rename(numbered(w.path, i-1), numbered(w.path, i)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if w.f != nil {
		w.f.Close()
		w.f = nil
	}
	return w.open()
}

// replace puts an empty file in the place of the only one.
func (w *Writer) replace() error {
	fresh := w.path + ".new"
	f, err := os.OpenFile(fresh, os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := os.Rename(fresh, w.path); err != nil {
		f.Close()
		return err
	}
	if w.f != nil {
		w.f.Close()
	}
	w.f, w.size = f, 0
	return nil
}

func numbered(path string, i int) string {
	if i == 0 {
		return path
	}
	return path + "." + strconv.Itoa(i)
}

// End writes a last line of s that has no LF: no more output comes from it.
func (w *Writer) End(s Stream, t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if rest := w.pending[s]; len(rest) > 0 {
		w.pending[s] = nil
		start := len(w.out)
		w.out = appendRecord(w.out, record{text: rest, stream: s, time: t})
		w.records++
		w.fit(start)
	}
	return w.flush()
}

// Lost returns what could not be kept so far.
func (w *Writer) Lost() Loss {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Close closes the file.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f == nil {
		return nil
	}
	err := w.f.Close()
	w.f = nil
	return fault.Op("log.close", w.path, err)
}
