package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/internal/fault"
)

func newRmi(a *app) *cobra.Command {
	var force, noPrune bool
	c := &cobra.Command{
		Use:   "rmi [OPTIONS] IMAGE [IMAGE...]",
		Short: "Remove one or more images",
		Args:  atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := a.engine()
			if err != nil {
				return err
			}
			return a.each(args, false, func(name string) error {
				list, err := e.Images.Remove(a.ctx, name, force)
				for _, r := range list {
					if err := a.removed(r); err != nil {
						return err
					}
				}
				if force && errors.Is(err, fault.NotFound) {
					a.complain(notFound(err, "image", name))
					return nil
				}
				return notFound(err, "image", name)
			})
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "Force removal of the image")
	c.Flags().BoolVar(&noPrune, "no-prune", false, "Do not delete untagged parents")
	return c
}

func (a *app) removed(r image.Removed) error {
	if r.Untagged != "" {
		return a.println("Untagged: " + image.Familiar(r.Untagged))
	}
	return a.println("Deleted: " + r.Deleted.String())
}

func newTag(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
		Short: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
		Args:  exactly(2),
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := a.engine()
			if err != nil {
				return err
			}
			return notFound(e.Images.Tag(args[0], args[1]), "image", args[0])
		},
	}
}
