package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/internal/fault"
)

// newReap is what monitors run when a --rm container has ended and its client
// is gone.
func newReap(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "reap CONTAINER",
		Short:  "Remove an ended --rm container",
		Hidden: true,
		Args:   exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := a.engine()
			if err != nil {
				return err
			}
			err = e.Containers.Reap(a.ctx, args[0])
			if errors.Is(err, fault.NotFound) {
				return nil // the client was faster
			}
			return err
		},
	}
}
