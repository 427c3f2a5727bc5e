package oci

import (
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/runtime/cgroup"
	"github.com/berth-engine/berth/runtime/plan"
)

// Explain prints what Create would do with a request: the files that make the
// cgroup's limits, then the plan of the child, which is compiled as Create does.
func Explain(w io.Writer, req CreateRequest, o plan.ExplainOptions) error {
	layout, err := cgroup.Detect()
	if err != nil {
		return err
	}
	spec := req.Bundle.Spec
	m, err := groups(layout, req.ID, spec, false)
	if err != nil {
		return err
	}
	if err := explainCgroup(w, m, spec, layout.Version); err != nil {
		return err
	}
	caches, err := new(Runtime).chooseResctrl(req.ID, spec)
	if err != nil {
		return err
	}
	if err := explainResctrl(w, caches, spec); err != nil {
		return err
	}
	home := homeNetwork(spec)
	if home != nil {
		home.Close()
	}
	p, err := compile(&req, m, caches, home != nil)
	if err != nil {
		return err
	}
	return p.Explain(w, o)
}

func explainCgroup(w io.Writer, m cgroup.Manager, s *specs.Spec, v cgroup.Version) error {
	if s.Linux == nil {
		return nil
	}
	paths := m.Paths()
	dirs := make([]string, 0, len(paths))
	for _, dir := range paths {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		if _, err := fmt.Fprintf(w, " %-10s     mkdir %s\n", "cgroup", dir); err != nil {
			return err
		}
	}
	if v == cgroup.Hybrid {
		v = cgroup.V1 // where a hybrid has its controllers
	}
	files, err := cgroup.Files(s.Linux.Resources, v)
	if err != nil {
		return err
	}
	for _, f := range files {
		if _, err := fmt.Fprintf(w, " %-10s     %s = %s\n", "cgroup", f.Name, f.Text); err != nil {
			return err
		}
	}
	return nil
}
