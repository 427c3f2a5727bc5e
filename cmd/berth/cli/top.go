package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/engine"
)

func newTop(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "top CONTAINER [ps OPTIONS]",
		Short: "Display the running processes of a container",
		Long:  "Display the running processes of a container: the host's ps with the options given (-ef), its lines reduced to the container's processes.",
		Args:  atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := a.engine()
			if err != nil {
				return err
			}
			res, err := e.Containers.Top(a.ctx, engine.TopRequest{Name: args[0], Args: args[1:]})
			if err != nil {
				return notFound(err, "container", args[0])
			}
			w := tabwriter.NewWriter(a.out(), 20, 1, 3, ' ', 0)
			fmt.Fprintln(w, strings.Join(res.Titles, "\t"))
			for _, p := range res.Processes {
				fmt.Fprintln(w, strings.Join(p, "\t"))
			}
			return w.Flush()
		},
	}
	c.Flags().SetInterspersed(false)
	return c
}
