package cli

import (
	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/cmd/berth/request"
	"github.com/berth-engine/berth/engine"
)

func newExplain(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "explain",
		Short: "Print what a command would do, step by step",
		Args:  a.noSuchCommand,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newExplainRun(a))
	return c
}

func newExplainRun(a *app) *cobra.Command {
	f := &runFlags{}
	var calls, ignored bool
	c := &cobra.Command{
		Use:   "run [OPTIONS] IMAGE [COMMAND] [ARG...]",
		Short: "Print the plan of a run and make no container",
		Long: "Print the plan of a run: control group, then the steps of the new process in\n" +
			"the order in which they happen. Nothing is created; the image must be here.",
		Example: "  berth explain run --read-only -m 64m host id\n  berth explain run --calls alpine sh",
		Args:    f.imageGiven,
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := f.Request(args, request.Here())
			if err != nil {
				return exit{codeEngine, err}
			}
			e, err := a.engine()
			if err != nil {
				return exit{codeEngine, err}
			}
			p.Request.Pull = "never"
			q := engine.ExplainRequest{Request: p.Request, Calls: calls}
			if err := e.Containers.Explain(a.ctx, q, a.out()); err != nil {
				return exit{codeEngine, err}
			}
			return nil
		},
	}
	fs := c.Flags()
	f.register(fs)
	fs.BoolVar(&calls, "calls", false, "Print the system calls of each step")
	fs.BoolVarP(&ignored, "detach", "d", false, "Run container in background and print container ID")
	fs.BoolVar(&ignored, "sig-proxy", true, "Proxy received signals to the process")
	fs.StringVar(&f.detachKeys, "detach-keys", "", "Override the key sequence for detaching a container")
	return c
}
