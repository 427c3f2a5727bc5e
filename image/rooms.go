package image

import (
	"context"
	"io"

	"github.com/berth-engine/berth/image/layer"
	"github.com/berth-engine/berth/snapshot"
)

// trees is what this room needs of snapshot.Store; tests put a failing one in
// its place.
type trees interface {
	Exists(n snapshot.Name) bool
	Stage(n, parent snapshot.Name) (stage, error)
	Commit(stages []stage) error // lowest first, one sync for all
	RemoveName(n snapshot.Name) error
	Names() ([]snapshot.Name, error)
}

// stage is one layer being unpacked.
type stage interface {
	Dir() string
	Abort() error // nothing once it is committed
}

// realTrees adapts snapshot.Store.
type realTrees struct{ *snapshot.Store }

func (t realTrees) Stage(n, parent snapshot.Name) (stage, error) { return t.Store.Stage(n, parent) }

func (t realTrees) Commit(stages []stage) error {
	real := make([]*snapshot.Stage, len(stages))
	for i, st := range stages {
		real[i] = st.(*snapshot.Stage) // made by Stage above
	}
	return snapshot.Commit(real...)
}

func (t realTrees) Names() ([]snapshot.Name, error) {
	infos, err := t.Store.Names()
	var out []snapshot.Name
	for _, i := range infos {
		out = append(out, i.Name)
	}
	return out, err
}

// applyLayer unpacks the plain tar of a blob of compressed bytes into dir and
// returns the bytes of its files.
func applyLayer(ctx context.Context, dir string, plain io.Reader, compressed int64) (int64, error) {
	res, err := layer.Apply(ctx, dir, plain, layer.Options{Blob: compressed})
	return res.Size, err
}
