package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/berth-engine/berth/cmd/berth/request"
	"github.com/berth-engine/berth/engine"
)

// stopFlags are the flags of stop and restart.
type stopFlags struct {
	signal  string
	timeout int
	set     *pflag.FlagSet
}

func (s *stopFlags) register(f *pflag.FlagSet) {
	s.set = f
	f.StringVarP(&s.signal, "signal", "s", "", "Signal to send to the container")
	f.IntVarP(&s.timeout, "timeout", "t", 0, "Seconds to wait before killing the container")
	f.IntVar(&s.timeout, "time", 0, "Seconds to wait before killing the container")
	_ = f.MarkHidden("time")
}

// request lowers the flags for one container.
func (s *stopFlags) request(name string) (engine.StopRequest, error) {
	r := engine.StopRequest{Name: name}
	var err error
	if r.Signal, err = request.Signal(s.signal); err != nil {
		return r, err
	}
	if s.set.Changed("timeout") || s.set.Changed("time") {
		r.Timeout = &s.timeout
	}
	return r, nil
}

func newStop(a *app) *cobra.Command {
	var f stopFlags
	c := &cobra.Command{
		Use:   "stop [OPTIONS] CONTAINER [CONTAINER...]",
		Short: "Stop one or more running containers",
		Long: "Stop one or more running containers: send the container's stop signal, wait,\n" +
			"then kill it. -t -1 waits for ever.",
		Args: atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.stopEach(&f, args, (*engine.Containers).Stop)
		},
	}
	f.register(c.Flags())
	return c
}

func newRestart(a *app) *cobra.Command {
	var f stopFlags
	c := &cobra.Command{
		Use:   "restart [OPTIONS] CONTAINER [CONTAINER...]",
		Short: "Restart one or more containers",
		Args:  atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.stopEach(&f, args, (*engine.Containers).Restart)
		},
	}
	f.register(c.Flags())
	return c
}

// stopEach does verb, a stop or a restart, to each container named.
func (a *app) stopEach(f *stopFlags, names []string, verb func(*engine.Containers, context.Context, engine.StopRequest) error) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	return a.each(names, true, func(name string) error {
		r, err := f.request(name)
		if err != nil {
			return err
		}
		return notFound(verb(e.Containers, a.ctx, r), "container", name)
	})
}
