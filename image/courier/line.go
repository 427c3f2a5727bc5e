package courier

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/internal/fault"
)

// Bounds of what is said, in bytes.
const (
	maxLine  = 64 << 10
	maxText  = 8 << 10 // before it is escaped, by which it may grow sixfold
	maxLayer = 256
)

// line is one line: JSON with one of the three fields, and a newline.
type line struct {
	Event *event   `json:"event,omitempty"`
	Done  *done    `json:"done,omitempty"`
	Error *refusal `json:"error,omitempty"`
}

// event is image.Event.
type event struct {
	Layer   string `json:"layer,omitempty"`
	Text    string `json:"text,omitempty"`
	Current int64  `json:"current,omitempty"`
	Total   int64  `json:"total,omitempty"`
}

// done is image.PullResult; the image itself is in the store.
type done struct {
	ID       digest.Digest `json:"id"`
	Ref      string        `json:"ref"`
	Digest   digest.Digest `json:"digest"`
	UpToDate bool          `json:"upToDate,omitempty"`
}

// refusal is an error of package fault.
type refusal struct {
	Kind fault.Kind `json:"kind"`
	Text string     `json:"text"`
}

func refuse(err error) *refusal {
	return &refusal{Kind: fault.KindOf(err), Text: clip(err.Error(), maxText)}
}

// err is the error that was sent. A class that we do not know is none.
func (r *refusal) err() error {
	err := fault.New(r.Kind, "%s", r.Text)
	if fault.KindOf(err) != r.Kind {
		return fault.New(fault.Internal, "%s", r.Text)
	}
	return err
}

// clip shortens a text so that every line fits into its bound.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

// parse reads one line.
func parse(text []byte) (line, error) {
	bad := func(why string) (line, error) {
		return line{}, fault.New(fault.Invalid, "%s: %.100q", why, text)
	}
	var l line
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil || len(bytes.TrimSpace(text[dec.InputOffset():])) > 0 {
		return bad("a line that is no news of a pull")
	}
	n := 0
	for _, there := range []bool{l.Event != nil, l.Done != nil, l.Error != nil} {
		if there {
			n++
		}
	}
	switch {
	case n != 1:
		return bad("a line that is not one of event, done and error")
	case l.Event != nil && (l.Event.Current < 0 || l.Event.Total < 0):
		return bad("an event with a negative number")
	case l.Done != nil && (l.Done.ID.Validate() != nil || l.Done.Digest.Validate() != nil || l.Done.Ref == ""):
		return bad("a pull that is done without naming its image")
	case l.Error != nil && l.Error.Text == "":
		return bad("an error without a text")
	}
	return l, nil
}
