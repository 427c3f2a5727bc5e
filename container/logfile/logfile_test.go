package logfile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 500_000_000, time.UTC)

func newLog(t *testing.T, o Options) *Writer {
	t.Helper()
	w, err := NewWriter(filepath.Join(t.TempDir(), "container.log"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func write(t *testing.T, w *Writer, s Stream, text string) {
	t.Helper()
	if err := w.Write(s, []byte(text), noon); err != nil {
		t.Fatal(err)
	}
}

// read returns the chosen entries as "stream|text".
func read(t *testing.T, path string, o ReadOptions) []string {
	t.Helper()
	var got []string
	err := Read(t.Context(), path, o, func(e Entry) error {
		got = append(got, e.Stream.String()+"|"+string(e.Line))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFormatIsDockers(t *testing.T) {
	w := newLog(t, Options{})
	write(t, w, Stdout, "say \"hi\"\t<b>\x01é\n")
	write(t, w, Stderr, "part")
	if err := w.End(Stderr, noon); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"log":"say \"hi\"\t<b>\u0001é\n","stream":"stdout","time":"2026-08-01T12:00:00.5Z"}
{"log":"part","stream":"stderr","time":"2026-08-01T12:00:00.5Z"}
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestReadJoinsWhatWasSplit(t *testing.T) {
	w := newLog(t, Options{})
	long := strings.Repeat("é", 3*Piece/2) + "end"
	write(t, w, Stdout, "a")
	write(t, w, Stderr, "b\n")
	write(t, w, Stdout, "c\nd")
	write(t, w, Stdout, long)
	write(t, w, Stderr, "between\n")
	write(t, w, Stdout, "\nlast")
	if err := w.End(Stdout, noon); err != nil {
		t.Fatal(err)
	}
	want := []string{"stderr|b\n", "stdout|ac\n", "stderr|between\n", "stdout|d" + long + "\n", "stdout|last"}
	if diff := cmp.Diff(want, read(t, w.path, ReadOptions{})); diff != "" {
		t.Error(diff)
	}
}

func TestPiecesDoNotCutCharacters(t *testing.T) {
	w := newLog(t, Options{})
	write(t, w, Stdout, "x"+strings.Repeat("€", Piece)+"\n") // 3 bytes each
	data, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("raw")) || bytes.Contains(data, []byte("\ufffd")) {
		t.Error("a character was cut in two")
	}
}

func TestBinaryIsExact(t *testing.T) {
	w := newLog(t, Options{})
	all := make([]byte, 0, 100_000)
	for i := range 100_000 {
		all = append(all, byte(i*i>>3^i))
	}
	if err := w.Write(Stdout, all, noon); err != nil {
		t.Fatal(err)
	}
	if err := w.End(Stdout, noon); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := Read(t.Context(), w.path, ReadOptions{}, func(e Entry) error { _, err := got.Write(e.Line); return err }); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), all) {
		t.Errorf("%d bytes in, %d other bytes out", len(all), got.Len())
	}
	data, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		if !json.Valid(line) {
			t.Fatalf("not JSON: %.100q", line)
		}
	}
}

func TestOneEndlessLineIsBounded(t *testing.T) {
	w := newLog(t, Options{MaxSize: 4 << 20})
	block := bytes.Repeat([]byte("y"), 64<<10)
	for range 64 {
		if err := w.Write(Stdout, block, noon); err != nil {
			t.Fatal(err)
		}
	}
	if cap(w.pending[Stdout]) > 2*Piece || cap(w.out) > 5*batch {
		t.Errorf("the writer holds %d and %d bytes", cap(w.pending[Stdout]), cap(w.out))
	}
	total, parts := 0, 0
	err := Read(t.Context(), w.path, ReadOptions{}, func(e Entry) error {
		if len(e.Line) > 2*maxJoin {
			t.Errorf("a part of %d bytes", len(e.Line))
		}
		if e.Continued != (parts > 0) {
			t.Errorf("part %d: continued %v", parts, e.Continued)
		}
		total, parts = total+len(e.Line), parts+1
		return nil
	})
	if err != nil || total != 64*len(block) {
		t.Errorf("%d bytes in %d parts, %v", total, parts, err)
	}
}

func TestRotationIsBoundedInTotal(t *testing.T) {
	for _, o := range []Options{{MaxSize: 2000, MaxFiles: 3}, {MaxSize: 2000, MaxFiles: 1}, {MaxSize: 1, MaxFiles: 2}} {
		w := newLog(t, o)
		for i := range 500 {
			write(t, w, Stdout, fmt.Sprintf("line %d\n", i))
		}
		files, err := os.ReadDir(filepath.Dir(w.path))
		if err != nil {
			t.Fatal(err)
		}
		var total int64
		for _, f := range files {
			st, err := f.Info()
			if err != nil {
				t.Fatal(err)
			}
			total += st.Size()
		}
		if limit := max(o.MaxSize, 120) * int64(o.MaxFiles); len(files) > o.MaxFiles || total > limit {
			t.Errorf("%+v: %d files, %d bytes", o, len(files), total)
		}
		got := read(t, w.path, ReadOptions{})
		for i, line := range got {
			if want := fmt.Sprintf("stdout|line %d\n", 500-len(got)+i); line != want {
				t.Fatalf("%+v: line %d is %q, want %q", o, i, line, want)
			}
		}
	}
}

func TestTornTailIsCut(t *testing.T) {
	w := newLog(t, Options{})
	write(t, w, Stdout, "one\ntwo\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(data) - 1; cut >= 0; cut-- {
		if err := os.WriteFile(w.path, data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := NewWriter(w.path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		write(t, w, Stdout, "new\n")
		w.Close()
		got := read(t, w.path, ReadOptions{})
		want := []string{"stdout|one\n", "stdout|new\n"}
		if cut <= bytes.IndexByte(data, '\n') {
			want = want[1:]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("cut at %d: %s", cut, diff)
		}
	}
}

func TestTail(t *testing.T) {
	w := newLog(t, Options{MaxSize: 1500, MaxFiles: 10})
	for i := range 100 {
		write(t, w, Stdout, fmt.Sprintf("%d\n", i))
	}
	write(t, w, Stderr, "100")
	if err := w.End(Stderr, noon); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 3, 15, 16, 17, 50, 100} {
		got := read(t, w.path, ReadOptions{Tail: n})
		if len(got) != n || got[n-1] != "stderr|100" || n > 1 && got[0] != fmt.Sprintf("stdout|%d\n", 101-n) {
			t.Errorf("tail %d: %d lines, first %q, last %q", n, len(got), got[0], got[len(got)-1])
		}
	}
	if got := read(t, w.path, ReadOptions{Tail: -1}); len(got) != 0 {
		t.Errorf("tail none: %q", got)
	}
	if got := read(t, w.path, ReadOptions{Tail: 1000}); len(got) != 101 {
		t.Errorf("tail 1000: %d lines", len(got))
	}
}

func TestTailOfSplitLine(t *testing.T) {
	w := newLog(t, Options{MaxSize: 40 << 10, MaxFiles: 10})
	long := strings.Repeat("z", 100<<10)
	write(t, w, Stdout, "before\n"+long+"\nafter\n")
	if diff := cmp.Diff([]string{"stdout|" + long + "\n", "stdout|after\n"}, read(t, w.path, ReadOptions{Tail: 2})); diff != "" {
		t.Errorf("%.300s", diff)
	}
}

func TestSinceUntil(t *testing.T) {
	w := newLog(t, Options{})
	for i := range 10 {
		if err := w.Write(Stdout, fmt.Appendf(nil, "%d\n", i), noon.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, w.path, ReadOptions{Since: noon.Add(3 * time.Second), Until: noon.Add(5 * time.Second)})
	if diff := cmp.Diff([]string{"stdout|3\n", "stdout|4\n", "stdout|5\n"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadOfNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.log")
	if got := read(t, path, ReadOptions{}); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	if got := read(t, path, ReadOptions{Follow: true, Ended: func() bool { return true }}); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestReadStops(t *testing.T) {
	w := newLog(t, Options{})
	write(t, w, Stdout, "one\ntwo\n")
	mine := errors.New("enough")
	if err := Read(t.Context(), w.path, ReadOptions{}, func(Entry) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("error of emit: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := Read(ctx, w.path, ReadOptions{Follow: true}, func(Entry) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error of ctx: %v", err)
	}
}

// A follower gets every kept line once and in order while files rotate.
func TestFollowAcrossRotation(t *testing.T) {
	const n = 20_000
	w := newLog(t, Options{MaxSize: 64 << 10, MaxFiles: 100})
	var ended atomic.Bool
	go func() {
		defer ended.Store(true)
		for i := range n {
			if err := w.Write(Stream(i%2), fmt.Appendf(nil, "%d\n", i), time.Now()); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	next := 0
	err := Read(t.Context(), w.path, ReadOptions{Follow: true, Ended: ended.Load}, func(e Entry) error {
		if want := fmt.Sprintf("%d\n", next); e.Gap || string(e.Line) != want {
			return fmt.Errorf("line %q (gap %v), want %q", e.Line, e.Gap, want)
		}
		next++
		return nil
	})
	if err != nil || next != n {
		t.Errorf("%d lines, %v", next, err)
	}
}

// One that is too slow is told of the gap, and never sees a line twice.
func TestFollowTooSlow(t *testing.T) {
	const n = 5000
	w := newLog(t, Options{MaxSize: 4 << 10, MaxFiles: 2})
	write(t, w, Stdout, "0\n")
	var ended atomic.Bool
	last, gaps := -1, 0
	err := Read(t.Context(), w.path, ReadOptions{Follow: true, Ended: ended.Load}, func(e Entry) error {
		if e.Gap {
			gaps++
			return nil
		}
		var i int
		if _, err := fmt.Sscan(string(e.Line), &i); err != nil || i <= last {
			return fmt.Errorf("line %q after %d: %v", e.Line, last, err)
		}
		if last = i; i == 0 { // everything is written while this reader is busy
			for i := 1; i < n; i++ {
				if err := w.Write(Stdout, fmt.Appendf(nil, "%d\n", i), noon); err != nil {
					return err
				}
			}
			ended.Store(true)
		}
		return nil
	})
	if err != nil || last != n-1 || gaps != 1 {
		t.Errorf("last %d, %d gaps, %v", last, gaps, err)
	}
}

// A directory that is not there any more stands for a disk that refuses.
func TestLossIsCounted(t *testing.T) {
	if _, err := os.Stat("/dev/full"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("no /dev/full")
	}
	w := newLog(t, Options{})
	write(t, w, Stdout, "kept\n")
	good := w.f
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.f = full
	if err := w.Write(Stdout, []byte("lost\nlost\n"), noon); err == nil {
		t.Error("no error")
	}
	w.f = good
	full.Close()
	write(t, w, Stdout, "kept too\n")
	if l := w.Lost(); l.Records != 2 || l.Last == nil {
		t.Errorf("lost %+v", l)
	}
	if diff := cmp.Diff([]string{"stdout|kept\n", "stdout|kept too\n"}, read(t, w.path, ReadOptions{})); diff != "" {
		t.Error(diff)
	}
}

func TestDamagedLinesAreLeftOut(t *testing.T) {
	w := newLog(t, Options{})
	write(t, w, Stdout, "one\n")
	if _, err := w.f.WriteString("\x00\x00garbage\n{}\n" + strings.Repeat("g", maxLine+100) + "\n" +
		`{"log":"other's \ud83d\ude00\n","stream":"stderr","attrs":{"a":"b"},"time":"2026-08-01T12:00:00Z"}` + "\n"); err != nil {
		t.Fatal(err)
	}
	write(t, w, Stdout, "two\n")
	if diff := cmp.Diff([]string{"stdout|one\n", "stderr|other's 😀\n", "stdout|two\n"}, read(t, w.path, ReadOptions{})); diff != "" {
		t.Error(diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"log":"hello\n","stream":"stdout","time":"2026-08-01T12:00:00.5Z"}`))
	f.Add([]byte(`{"log":"\u00e9\ud83d\ude00\\","stream":"stderr","raw":"/w==","time":"2026-08-01T12:00:00Z"}`))
	f.Add([]byte(`{"stream":"stdout","log":"x","time":"bad"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		fast, ok := parseOwn(line, nil)
		slow, err := parseJSON(line, nil)
		if !ok {
			return
		}
		if err != nil {
			t.Fatalf("fast way accepts, slow way says %v", err)
		}
		if !bytes.Equal(fast.text, slow.text) || fast.stream != slow.stream || !fast.time.Equal(slow.time) {
			t.Fatalf("fast %+v, slow %+v", fast, slow)
		}
	})
}

// Whatever the payload writes, in whatever portions, comes back.
func FuzzWriteRead(f *testing.F) {
	f.Add([]byte("one\ntwo\xff\n\n\x00three"), uint16(3))
	f.Add(bytes.Repeat([]byte("€"), Piece), uint16(7000))
	f.Fuzz(func(t *testing.T, data []byte, portion uint16) {
		w, err := NewWriter(filepath.Join(t.TempDir(), "log"), Options{MaxSize: 100_000, MaxFiles: 1000})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		for rest := data; len(rest) > 0; {
			n := min(int(portion)+1, len(rest))
			if err := w.Write(Stdout, rest[:n], noon); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.End(Stdout, noon); err != nil {
			t.Fatal(err)
		}
		var got []byte
		if err := Read(t.Context(), w.path, ReadOptions{}, func(e Entry) error { got = append(got, e.Line...); return nil }); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, data) {
			t.Fatalf("wrote %q, read %q", data, got)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	w, err := NewWriter(filepath.Join(b.TempDir(), "log"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	data := bytes.Repeat([]byte("a line of output that is about as long as lines of logs usually are, not too short\n"), 380)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(Stdout, data, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	line := appendRecord(nil, record{text: []byte("a line of output that is about as long as lines of logs usually are, not too short\n"), time: noon})
	line = line[:len(line)-1]
	b.SetBytes(int64(len(line)))
	var buf []byte
	for b.Loop() {
		r, err := parse(line, buf)
		if err != nil {
			b.Fatal(err)
		}
		buf = r.text
	}
}
