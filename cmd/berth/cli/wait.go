package cli

import (
	"github.com/spf13/cobra"
)

func newWait(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "wait CONTAINER [CONTAINER...]",
		Short: "Block until one or more containers stop, then print their exit codes",
		Args:  atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := a.engine()
			if err != nil {
				return err
			}
			return a.each(args, false, func(name string) error {
				s, err := e.Containers.Wait(a.ctx, name)
				if err != nil {
					return notFound(err, "container", name)
				}
				return a.println(itoa(s.Code))
			})
		},
	}
}
