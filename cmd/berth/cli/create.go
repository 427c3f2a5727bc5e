package cli

import (
	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/cmd/berth/request"
	"github.com/berth-engine/berth/engine"
)

func newCreate(a *app) *cobra.Command {
	f := &runFlags{}
	c := &cobra.Command{
		Use:     "create [OPTIONS] IMAGE [COMMAND] [ARG...]",
		Short:   "Create a new container",
		Long:    "Create a new container and print its id. Start it with berth start.",
		Example: "  berth create --name job -v /data:/data alpine sh -c 'ls /data'\n  berth start -a job",
		Args:    f.imageGiven,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.create(f, args)
		},
	}
	f.register(c.Flags())
	return c
}

func (a *app) create(f *runFlags, args []string) error {
	p, err := f.Request(args, request.Here())
	if err != nil {
		return exit{codeEngine, err}
	}
	if _, err := f.streams(); err != nil {
		return exit{codeEngine, err}
	}
	e, err := a.engine()
	if err != nil {
		return exit{codeEngine, err}
	}
	res, err := e.Containers.Create(a.ctx, engine.CreateRequest{Request: p.Request, Progress: a.progress(a.Err, f.quiet)})
	if err != nil {
		return exit{codeEngine, err}
	}
	for _, w := range append(p.Warnings, res.Warnings...) {
		a.warn(w)
	}
	return a.println(res.ID)
}
