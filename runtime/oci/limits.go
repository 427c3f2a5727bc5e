package oci

import (
	"errors"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/runtime/plan"
)

// raiseLimits raises the hard limits of a child that cannot do it itself: in a
// user namespace nobody has the right (setrlimit(2), CAP_SYS_RESOURCE is asked
// of the first one). The soft limits, and what is to be lowered, stay for the
// child, at the end of its set-up. Where we lack the right, too, the child's
// own try says so.
func raiseLimits(pid int, limits []specs.POSIXRlimit) error {
	for _, l := range limits {
		resource, ok := plan.RlimitNumber(l.Type)
		if !ok {
			continue // refused by the planner
		}
		var now unix.Rlimit
		if err := unix.Prlimit(pid, int(resource), nil, &now); err != nil {
			return err
		}
		if now.Max >= l.Hard {
			continue
		}
		now.Max = l.Hard
		if err := unix.Prlimit(pid, int(resource), &now, nil); err != nil && !errors.Is(err, unix.EPERM) {
			return err
		}
	}
	return nil
}
