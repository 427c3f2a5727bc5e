package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/engine"
	"github.com/berth-engine/berth/internal/fault"
)

func newRm(a *app) *cobra.Command {
	var force, volumes, link bool
	c := &cobra.Command{
		Use:     "rm [OPTIONS] CONTAINER [CONTAINER...]",
		Aliases: []string{"remove"},
		Short:   "Remove one or more containers",
		Args:    atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if link {
				return fault.New(fault.Unsupported, "-l: links need bridge networking, which this version does not have yet")
			}
			e, err := a.engine()
			if err != nil {
				return err
			}
			return a.each(args, true, func(name string) error {
				err := e.Containers.Remove(a.ctx, engine.RemoveRequest{Name: name, Force: force})
				if force && errors.Is(err, fault.NotFound) {
					a.complain(notFound(err, "container", name))
					return errQuiet
				}
				return notFound(err, "container", name)
			})
		},
	}
	f := c.Flags()
	f.BoolVarP(&force, "force", "f", false, "Force the removal of a running container (uses SIGKILL)")
	f.BoolVarP(&volumes, "volumes", "v", false, "Remove anonymous volumes associated with the container")
	f.BoolVarP(&link, "link", "l", false, "Remove the specified link")
	return c
}
