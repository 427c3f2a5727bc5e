package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/cmd/berth/request"
	"github.com/berth-engine/berth/engine"
	"github.com/berth-engine/berth/engine/detach"
	"github.com/berth-engine/berth/internal/fault"
)

type execFlags struct {
	env, envFile                 request.List
	interactive, tty, privileged bool
	detach                       bool
	user, workdir, detachKeys    string
}

func newExec(a *app) *cobra.Command {
	o := &execFlags{}
	c := &cobra.Command{
		Use:     "exec [OPTIONS] CONTAINER COMMAND [ARG...]",
		Short:   "Execute a command in a running container",
		Example: "  berth exec -it web sh\n  berth exec -u postgres -w /tmp -e LANG=C db psql -c 'select 1'",
		Args:    atLeast(2),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.exec(o, args[0], args[1:])
		},
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.VarP(&o.env, "env", "e", "Set environment variables")
	f.Var(&o.envFile, "env-file", "Read in a file of environment variables")
	f.BoolVarP(&o.interactive, "interactive", "i", false, "Keep STDIN open even if not attached")
	f.BoolVarP(&o.tty, "tty", "t", false, "Allocate a pseudo-TTY")
	f.BoolVarP(&o.detach, "detach", "d", false, "Detached mode: run command in the background")
	f.BoolVar(&o.privileged, "privileged", false, "Give extended privileges to the command")
	f.StringVarP(&o.user, "user", "u", "", `Username or UID (format: "<name|uid>[:<group|gid>]")`)
	f.StringVarP(&o.workdir, "workdir", "w", "", "Working directory inside the container")
	f.StringVar(&o.detachKeys, "detach-keys", "", "Override the key sequence for detaching a container")
	return c
}

func (a *app) exec(o *execFlags, name string, words []string) error {
	env, err := request.Env(o.envFile, o.env, request.Here())
	if err != nil {
		return exit{codeEngine, fault.As(fault.Invalid, err)}
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	r := engine.ExecRequest{
		Name: name, Args: words, Env: env, User: o.user, WorkDir: o.workdir,
		Privileged: o.privileged, TTY: o.tty, Stdin: o.interactive, Detach: o.detach,
	}
	if o.detach {
		_, err := e.Containers.Exec(a.ctx, r)
		return execEnd(err, name)
	}
	s, err := a.session(sessionOptions{in: o.interactive, out: true, err: true, tty: o.tty, keys: o.detachKeys})
	if err != nil {
		return err
	}
	defer s.close()
	r.Streams = s.streams
	res, err := e.Containers.Exec(a.ctx, r)
	s.close()
	if err != nil {
		return execEnd(err, name)
	}
	return exitOf(res)
}

// execEnd gives an exec that did not run its exit code: 126 and 127 for the
// program and its directory, 1 for everything else.
func execEnd(err error, name string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, detach.ErrDetached):
		return exit{1, err}
	case errors.Is(err, engine.ErrUnfit):
		return exit{codeNotExec, err}
	}
	if code := startCode(err, 0); code != 0 {
		return exit{code, err}
	}
	if strings.Contains(err.Error(), ": go to /") { // the runtime's words for its directory
		return exit{causeCode(err, 1), err}
	}
	return exit{1, notFound(err, "container", name)}
}
