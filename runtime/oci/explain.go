package oci

import (
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/runtime/cgroup"
	"github.com/berth-engine/berth/runtime/plan"
)

// Explain prints what Create and Start would do with a bundle: the files that
// make the cgroup's limits, then the plan of the child.
func Explain(w io.Writer, id string, b *Bundle, o plan.ExplainOptions) error {
	layout, err := cgroup.Detect()
	if err != nil {
		return err
	}
	m, err := groups(id, b.Spec)
	if err != nil {
		return err
	}
	if err := explainCgroup(w, m, b.Spec, layout.Version); err != nil {
		return err
	}
	setHome(b.Spec.Process, b.Root)
	f := b.facts(m, &CreateRequest{Start: true})
	p, err := plan.Compile(b.Spec, b.Mounts, f)
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
