package oci

import (
	"errors"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/runtime/plan"
)

// ownCaps are our capabilities for a container of s: where there is a user
// namespace the child gets all of them in it, which is 0 here.
func ownCaps(s *specs.Spec) uint64 {
	if s.Linux != nil && hasNamespace(s, specs.UserNamespace) {
		return 0
	}
	return kernel.Caps()
}

// warnOf passes on what the planner has to say.
func (r *Runtime) warnOf(p *plan.Plan) {
	for _, w := range p.Warnings {
		r.warn(errors.New(w))
	}
}
