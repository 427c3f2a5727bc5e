package cgroup

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/berth-engine/berth/internal/fault"
)

// patience bounds what waits for the kernel when the caller's context does
// not: freezing, and processes that end.
const patience = 2 * time.Second

// freezer returns the tree with a freezer: the v1 controller, else the
// unified tree, which always has one.
func (g *group) freezer() *tree {
	if t := g.find("freezer"); t != nil {
		return t
	}
	return g.unified()
}

func (g *group) Freeze(ctx context.Context, on bool) error {
	op := "cgroup.thaw"
	if on {
		op = "cgroup.freeze"
	}
	t := g.freezer()
	if t == nil {
		return fault.Op(op, g.name(), fault.New(fault.Unsupported, "no freezer is mounted"))
	}
	d := g.dir(t.path)
	defer d.close()
	err := freeze(ctx, t, d, on)
	if err != nil && on {
		_ = d.write(frostFile(t, false)) // half frozen is worse than either
	}
	return fault.Op(op, t.path, err)
}

// freeze writes the state and waits until the kernel has reached it. The v1
// freezer may hang in FREEZING when processes fork or sleep in the kernel at
// the wrong moment; resuming for an instant gets it past that.
func freeze(ctx context.Context, t *tree, d *dir, on bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := newPause()
	for round := 0; ; round++ {
		if on && !t.unified && round%20 == 19 {
			if err := d.write(frostFile(t, false)); err != nil {
				return err
			}
		}
		if round == 0 || !t.unified {
			if err := d.write(frostFile(t, on)); err != nil {
				return err
			}
		}
		is, err := settled(t, d)
		if err != nil || is == on {
			return err
		}
		if err := pause.wait(ctx); err != nil {
			return fault.New(fault.Unavailable, "processes do not reach the state: %w", err)
		}
	}
}

// whileFrozen does something that the processes must not see half done. A
// group that was frozen before stays so.
func (g *group) whileFrozen(do func() error) error {
	was, err := g.Frozen()
	if err != nil || was || g.freezer() == nil {
		return errors.Join(err, do())
	}
	if err := g.Freeze(context.Background(), true); err != nil {
		return err
	}
	return errors.Join(do(), g.Freeze(context.Background(), false))
}

// frostFile is the file and the text that freeze or thaw.
func frostFile(t *tree, on bool) (name, text string) {
	switch {
	case t.unified && on:
		return "cgroup.freeze", "1"
	case t.unified:
		return "cgroup.freeze", "0"
	case on:
		return "freezer.state", "FROZEN"
	}
	return "freezer.state", "THAWED"
}

// settled reports whether every process is stopped.
func settled(t *tree, d *dir) (bool, error) {
	if t.unified {
		text, err := d.read("cgroup.events")
		return pairs(text)["frozen"] == 1, err
	}
	text, err := d.read("freezer.state")
	return strings.TrimSpace(text) == "FROZEN", err
}

// frost reports whether t is frozen or on the way, by itself or from above.
// Trees without a freezer never are.
func frost(t *tree, d *dir) (bool, error) {
	switch {
	case t.unified:
		frozen, err := settled(t, d)
		return frozen, fault.Op("read cgroup.events", t.path, err)
	case t.has("freezer"):
		text, err := d.read("freezer.state")
		return err == nil && strings.TrimSpace(text) != "THAWED", fault.Op("read freezer.state", t.path, err)
	}
	return false, nil
}

func (g *group) Frozen() (bool, error) {
	t := g.freezer()
	if t == nil {
		return false, nil
	}
	d := g.dir(t.path)
	defer d.close()
	frozen, err := frost(t, d)
	if gone(err) {
		return false, nil
	}
	return frozen, fault.Op("cgroup.frozen", "", err)
}

// pause is a back-off: it doubles from 50 µs to 10 ms.
type pause struct{ next time.Duration }

func newPause() *pause { return &pause{50 * time.Microsecond} }

// wait sleeps, or returns the context's error.
func (p *pause) wait(ctx context.Context) error {
	timer := time.NewTimer(p.next)
	defer timer.Stop()
	p.next = min(2*p.next, 10*time.Millisecond)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
