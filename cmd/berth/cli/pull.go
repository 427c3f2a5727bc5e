package cli

import (
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/internal/fault"
)

func newPull(a *app) *cobra.Command {
	var quiet, all, trust bool
	var platform string
	c := &cobra.Command{
		Use:     "pull [OPTIONS] NAME[:TAG|@DIGEST]",
		Short:   "Download an image from a registry",
		Example: "  berth pull alpine\n  berth pull localhost:5000/app@sha256:…",
		Args:    exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if all {
				return fault.New(fault.Unsupported, "-a: this version pulls one tag at a time")
			}
			return a.pull(args[0], platform, quiet)
		},
	}
	f := c.Flags()
	f.BoolVarP(&quiet, "quiet", "q", false, "Suppress verbose output")
	f.StringVar(&platform, "platform", "", "Set platform if the image has several")
	f.BoolVarP(&all, "all-tags", "a", false, "Download all tagged images in the repository")
	f.BoolVar(&trust, "disable-content-trust", true, "Skip image verification")
	_ = f.MarkHidden("disable-content-trust")
	_ = f.MarkHidden("all-tags")
	return c
}

func (a *app) pull(name, platform string, quiet bool) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	if _, err := image.Normalize(name); err == nil && !quiet && !strings.ContainsAny(path.Base(name), ":@") {
		if err := a.println("Using default tag: latest"); err != nil {
			return err
		}
	}
	res, err := e.Images.Pull(a.ctx, name, image.PullOptions{Platform: platform, Progress: a.progress(a.Out, quiet)})
	if err != nil {
		return err
	}
	return a.println(res.Ref)
}
