package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/engine"
	"github.com/berth-engine/berth/engine/detach"
)

func newStart(a *app) *cobra.Command {
	var attach, interactive, proxy bool
	var keys string
	c := &cobra.Command{
		Use:     "start [OPTIONS] CONTAINER [CONTAINER...]",
		Short:   "Start one or more stopped containers",
		Example: "  berth start web\n  berth start -ai shell",
		Args:    atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if !attach && !interactive {
				return a.start(args)
			}
			if len(args) > 1 {
				return exit{1, errors.New("you cannot start and attach multiple containers at once")}
			}
			return a.startAttached(args[0], interactive, proxy, keys)
		},
	}
	f := c.Flags()
	f.BoolVarP(&attach, "attach", "a", false, "Attach STDOUT/STDERR and forward signals")
	f.BoolVarP(&interactive, "interactive", "i", false, "Attach container's STDIN")
	f.BoolVar(&proxy, "sig-proxy", true, "Proxy received signals to the process")
	_ = f.MarkHidden("sig-proxy")
	f.StringVar(&keys, "detach-keys", "", "Override the key sequence for detaching a container")
	return c
}

func (a *app) start(names []string) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	var failed []string
	err = a.each(names, true, func(name string) error {
		err := notFound(e.Containers.Start(a.ctx, name), "container", name)
		if err != nil {
			failed = append(failed, name)
		}
		return err
	})
	if len(failed) > 0 {
		fmt.Fprintln(a.Err, "berth: failed to start containers:", a.safe(joined(failed)))
	}
	return err
}

func (a *app) startAttached(name string, interactive, proxy bool, keys string) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	c, err := e.Containers.Find(name)
	if err != nil {
		return exit{1, notFound(err, "container", name)}
	}
	s, err := a.session(sessionOptions{
		in: interactive && c.Request.OpenStdin, out: true, err: true,
		tty: c.Request.TTY, proxy: proxy, keys: keys,
	})
	if err != nil {
		return err
	}
	defer s.close()
	res, err := e.Containers.StartAttached(a.ctx, engine.AttachRequest{Name: c.ID, Streams: s.streams})
	s.close()
	switch {
	case errors.Is(err, detach.ErrDetached):
		return nil
	case err != nil:
		return exit{startCode(err, 1), err}
	}
	return exitOf(res)
}
