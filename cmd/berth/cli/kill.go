package cli

import (
	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/cmd/berth/request"
	"github.com/berth-engine/berth/engine"
)

func newKill(a *app) *cobra.Command {
	var signal string
	c := &cobra.Command{
		Use:   "kill [OPTIONS] CONTAINER [CONTAINER...]",
		Short: "Kill one or more running containers",
		Args:  atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error {
			sig, err := request.Signal(signal)
			if err != nil {
				return err
			}
			e, err := a.engine()
			if err != nil {
				return err
			}
			return a.each(args, true, func(name string) error {
				return notFound(e.Containers.Kill(a.ctx, engine.KillRequest{Name: name, Signal: sig}), "container", name)
			})
		},
	}
	c.Flags().StringVarP(&signal, "signal", "s", "", "Signal to send to the container")
	return c
}
