// Package detach finds the keys that leave a container's terminal.
//
//	keys, err := detach.Parse("ctrl-p,ctrl-q")
//	in := detach.NewReader(os.Stdin, keys)
//
// Reading from in gives everything typed; bytes that begin the sequence are
// held back until it is clear whether it goes on, and given then. When it is
// complete Read returns ErrDetached.
package detach

import (
	"errors"
	"io"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// Default is docker's sequence.
const Default = "ctrl-p,ctrl-q"

// ErrDetached ends the input: the user left, the container goes on.
var ErrDetached = errors.New("read escape sequence")

// Parse reads a list of keys: single characters, or ctrl- with a letter or one
// of @ [ \ ] ^ _. An empty text is an empty sequence: no way to detach.
func Parse(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	var keys []byte
	for _, word := range strings.Split(s, ",") {
		k, ok := key(word)
		if !ok {
			return nil, fault.New(fault.Invalid, "invalid detach keys (%s): %q is neither a character nor ctrl- with a letter or one of @[\\]^_", s, word)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func key(word string) (byte, bool) {
	if len(word) == 1 {
		return word[0], word[0] < 0x80
	}
	c, ok := strings.CutPrefix(word, "ctrl-")
	if !ok || len(c) != 1 {
		return 0, false
	}
	switch b := c[0]; {
	case b >= 'a' && b <= 'z':
		return b - 'a' + 1, true
	case b == '@' || b >= '[' && b <= '_':
		return b - '@', true
	}
	return 0, false
}

// Reader gives what comes from another reader until the keys come.
type Reader struct {
	r    io.Reader
	keys []byte
	held int    // how many of keys the last bytes matched; they are not given yet
	out  []byte // ready to be given
	err  error  // given when out is empty
}

// NewReader watches r for keys. With no keys it passes everything.
func NewReader(r io.Reader, keys []byte) *Reader { return &Reader{r: r, keys: keys} }

// Read implements io.Reader.
func (d *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(d.keys) == 0 {
		return d.r.Read(p)
	}
	for len(d.out) == 0 && d.err == nil {
		n, err := d.r.Read(p)
		d.scan(p[:n])
		if d.err == nil && err != nil {
			d.out = append(d.out, d.keys[:d.held]...)
			d.held, d.err = 0, err
		}
	}
	if len(d.out) > 0 {
		n := copy(p, d.out)
		d.out = d.out[n:]
		return n, nil
	}
	return 0, d.err
}

func (d *Reader) scan(in []byte) {
	out := make([]byte, 0, len(in)+len(d.keys))
	defer func() { d.out = out }()
	for _, b := range in {
		// fall back to shorter beginnings until b continues one
		for d.held > 0 && d.keys[d.held] != b {
			short := d.border()
			out = append(out, d.keys[:d.held-short]...)
			d.held = short
		}
		if d.keys[d.held] != b {
			out = append(out, b)
			continue
		}
		d.held++
		if d.held == len(d.keys) {
			d.held, d.err = 0, ErrDetached
			return
		}
	}
}

// border is the length of the longest proper prefix of the held keys that is
// also their suffix.
func (d *Reader) border() int {
	for n := d.held - 1; n > 0; n-- {
		if string(d.keys[:n]) == string(d.keys[d.held-n:d.held]) {
			return n
		}
	}
	return 0
}
