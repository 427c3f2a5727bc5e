package engine

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
)

// ListRequest chooses containers.
type ListRequest struct {
	All     bool
	Last    int // the n newest, whatever their state; 0 is no limit
	Size    bool
	Filters map[string][]string
}

// Item is a container in a list.
type Item struct {
	*container.Container
	Status container.Status
	Sizes  // with ListRequest.Size
}

// List returns containers, newest first. Damaged records are left out and
// named in the error; the list is good all the same.
func (c *Containers) List(ctx context.Context, q ListRequest) ([]Item, error) {
	records, err := c.records()
	if err != nil {
		return nil, err
	}
	recs, damage := records.List()
	if recs == nil && damage != nil {
		return nil, damage
	}
	match, err := c.filter(q.Filters, recs)
	if err != nil {
		return nil, err
	}
	all := q.All || q.Last > 0 || len(q.Filters["status"]) > 0 || len(q.Filters["exited"]) > 0
	statuses := records.Statuses(recs)
	c.checkAll(ctx, recs, statuses)
	var out []Item
	for i, rec := range slices.Backward(recs) {
		s := statuses[i]
		it := Item{Container: rec, Status: s}
		if (!all && !alive(s.State)) || !match(it) {
			continue
		}
		if q.Size {
			it.Sizes = c.Sizes(rec)
		}
		if out == nil {
			out = make([]Item, 0, i+1) // as many as there can be
		}
		if out = append(out, it); q.Last > 0 && len(out) == q.Last {
			break
		}
	}
	return out, damage
}

// checkAll is check for those that say alive, several at a time.
func (c *Containers) checkAll(ctx context.Context, recs []*container.Container, statuses []container.Status) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(recs); i = int(next.Add(1)) - 1 {
				s := &statuses[i]
				if !alive(s.State) {
					continue
				}
				var err error
				if *s, err = c.check(ctx, recs[i].ID, *s); err != nil {
					s.Error = err.Error()
				}
			}
		})
	}
	wg.Wait()
}

// Sizes are numbers of bytes.
type Sizes struct {
	Written int64 // by the container
	Root    int64 // that and its image; 0 where nobody knows: host, --rootfs, an image that is gone
}

// Sizes are those of a container, as far as they can be had.
func (c *Containers) Sizes(rec *container.Container) Sizes {
	s := Sizes{Written: c.written(rec)}
	if img, err := c.imageOf(rec); err == nil && img != nil && img.Size > 0 {
		s.Root = img.Size + s.Written
	}
	return s
}

// written is best effort: a tree that is being removed has none.
func (r *rooms) written(rec *container.Container) int64 {
	if rec.Snapshot == "" {
		return 0
	}
	trees, err := r.trees()
	if err != nil {
		return 0
	}
	n, err := trees.Usage(snapshot.Key(rec.Snapshot))
	if err != nil && !errors.Is(err, fault.NotFound) {
		return 0
	}
	return n
}
