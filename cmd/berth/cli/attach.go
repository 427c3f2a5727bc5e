package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/engine"
	"github.com/berth-engine/berth/engine/detach"
)

func newAttach(a *app) *cobra.Command {
	var noStdin, proxy bool
	var keys string
	c := &cobra.Command{
		Use:   "attach [OPTIONS] CONTAINER",
		Short: "Attach local standard input, output, and error streams to a running container",
		Args:  exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.attach(args[0], !noStdin, proxy, keys)
		},
	}
	f := c.Flags()
	f.BoolVar(&noStdin, "no-stdin", false, "Do not attach STDIN")
	f.BoolVar(&proxy, "sig-proxy", true, "Proxy all received signals to the process")
	f.StringVar(&keys, "detach-keys", "", "Override the key sequence for detaching a container")
	return c
}

func (a *app) attach(name string, stdin, proxy bool, keys string) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	d, err := e.Containers.Inspect(a.ctx, name)
	if err != nil {
		return notFound(err, "container", name)
	}
	if err := attachable(d.Status.State); err != nil {
		return err
	}
	r := d.Container.Request
	s, err := a.session(sessionOptions{
		in: stdin && r.OpenStdin, out: true, err: true,
		tty: r.TTY, proxy: proxy, keys: keys,
	})
	if err != nil {
		return err
	}
	defer s.close()
	res, err := e.Containers.Attach(a.ctx, engine.AttachRequest{Name: d.Container.ID, Streams: s.streams})
	s.close()
	if errors.Is(err, detach.ErrDetached) {
		return exit{1, err}
	}
	if err != nil {
		return err
	}
	return exitOf(res)
}

func attachable(s container.State) error {
	switch s {
	case container.Running:
		return nil
	case container.Paused:
		return errors.New("you cannot attach to a paused container, unpause it first")
	case container.Restarting:
		return errors.New("you cannot attach to a restarting container, wait until it is running")
	}
	return errors.New("you cannot attach to a stopped container, start it first")
}

// exitOf makes a payload's exit code the command's own.
func exitOf(s container.ExitStatus) error {
	if s.Code == 0 {
		return nil
	}
	return exit{code: s.Code}
}

func joined(names []string) string { return strings.Join(names, ", ") }

func itoa(n int) string { return fmt.Sprint(n) }
