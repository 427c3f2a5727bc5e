package cli

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/berth-engine/berth/cmd/berth/format"
	"github.com/berth-engine/berth/cmd/berth/tty"
	"github.com/berth-engine/berth/image"
)

// progress prints the news of a pull to w, nil when quiet. On a terminal a
// layer's line is rewritten in place; elsewhere counts are left out and every
// change is a line.
func (a *app) progress(w *os.File, quiet bool) func(image.Event) {
	if quiet {
		return nil
	}
	if tty.IsTerminal(w) {
		return (&bars{w: w, rows: map[string]int{}}).show
	}
	return func(e image.Event) {
		if e.Total == 0 {
			fmt.Fprintln(w, eventText(e))
		}
	}
}

func eventText(e image.Event) string {
	text := e.Text
	if e.Total > 0 {
		text += fmt.Sprintf(" %s/%s", format.Size(e.Current), format.Size(e.Total))
	}
	if e.Layer != "" {
		text = e.Layer + ": " + text
	}
	return format.Text(text)
}

// bars keeps one line of a terminal per layer.
type bars struct {
	mu   sync.Mutex
	w    io.Writer
	rows map[string]int // line of a layer, from the first one
	n    int            // lines so far
}

func (b *bars) show(e image.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	row, known := b.rows[e.Layer]
	if e.Layer == "" || !known {
		if e.Layer != "" {
			b.rows[e.Layer] = b.n
		}
		b.n++
		fmt.Fprintf(b.w, "%s\n", eventText(e))
		return
	}
	up := b.n - row
	fmt.Fprintf(b.w, "\x1b[%dA\r\x1b[2K%s\x1b[%dB\r", up, eventText(e), up)
}
