package courier

import (
	"encoding/json"
	"io"

	"github.com/berth-engine/berth/image"
)

// Answer does a pull and writes its news to w, the last line included. It
// returns the pull's own error, or that of writing. tell is nil when quiet.
func Answer(w io.Writer, quiet bool, pull func(tell func(image.Event)) (image.PullResult, error)) error {
	var broken error // nobody listens any more; the pull is told by other means
	say := func(l line) {
		if broken == nil {
			broken = json.NewEncoder(w).Encode(l)
		}
	}
	tell := func(e image.Event) {
		say(line{Event: &event{clip(e.Layer, maxLayer), clip(e.Text, maxText), e.Current, e.Total}})
	}
	if quiet {
		tell = nil
	}
	res, err := pull(tell)
	if err != nil {
		say(line{Error: refuse(err)})
		return err
	}
	say(line{Done: &done{ID: res.Image.ID, Ref: res.Ref, Digest: res.Digest, UpToDate: res.UpToDate}})
	return broken
}
