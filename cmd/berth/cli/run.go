package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/berth-engine/berth/cmd/berth/request"
	"github.com/berth-engine/berth/engine"
	"github.com/berth-engine/berth/engine/detach"
)

// runFlags are the flags that concern the client of a run, not the container.
type runFlags struct {
	request.Flags
	attach     request.List
	detach     bool
	sigProxy   bool
	detachKeys string
	quiet      bool
}

func (f *runFlags) register(fs *pflag.FlagSet) {
	f.Flags.Register(fs)
	fs.VarP(&f.attach, "attach", "a", "Attach to STDIN, STDOUT or STDERR")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "Suppress the pull output")
	fs.SetInterspersed(false) // words after the image are the container's
}

func newRun(a *app) *cobra.Command {
	f := &runFlags{}
	c := &cobra.Command{
		Use:   "run [OPTIONS] IMAGE [COMMAND] [ARG...]",
		Short: "Create and run a new container from an image",
		Long: "Create and run a new container from an image.\n\n" +
			"The image \"host\" is the machine's own root file system: the container gets a\n" +
			"throw-away copy of it. The exit code is that of the command; 125 means that\n" +
			"berth could not run it, 126 that it cannot be executed, 127 that it is missing.",
		Example: "  berth run -it --rm host bash\n  berth run -d --name web -v /srv/www:/www:ro busybox httpd -f -h /www",
		Args:    f.imageGiven,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.run(f, args)
		},
	}
	fs := c.Flags()
	f.register(fs)
	fs.BoolVarP(&f.detach, "detach", "d", false, "Run container in background and print container ID")
	fs.BoolVar(&f.sigProxy, "sig-proxy", true, "Proxy received signals to the process")
	fs.StringVar(&f.detachKeys, "detach-keys", "", "Override the key sequence for detaching a container")
	return c
}

// imageGiven wants an image, unless --rootfs stands for it.
func (f *runFlags) imageGiven(c *cobra.Command, args []string) error {
	if fl := c.Flags().Lookup("rootfs"); fl != nil && fl.Value.String() != "" {
		return nil
	}
	return atLeast(1)(c, args)
}

func (a *app) run(f *runFlags, args []string) error {
	p, err := f.Request(args, request.Here())
	if err != nil {
		return exit{codeEngine, err}
	}
	for _, w := range p.Warnings {
		a.warn(w)
	}
	r := engine.RunRequest{Request: p.Request, Detach: f.detach, Progress: a.progress(a.Err, f.quiet)}
	if f.detach && len(f.attach) > 0 {
		return exit{codeEngine, fmt.Errorf("conflicting options: cannot specify both --attach and --detach")}
	}
	e, err := a.engine()
	if err != nil {
		return exit{codeEngine, err}
	}
	if f.detach {
		res, err := e.Containers.Run(a.ctx, r)
		return a.ran(res, err, true)
	}
	which, err := f.streams()
	if err != nil {
		return exit{codeEngine, err}
	}
	s, err := a.prepare(sessionOptions{
		in: which.in, out: which.out, err: which.err,
		tty: r.Request.TTY, proxy: f.sigProxy, keys: f.detachKeys,
	})
	if err != nil {
		return err
	}
	defer s.close()
	r.Attach = func() (engine.Streams, error) {
		err := s.open()
		return s.streams, err
	}
	res, err := e.Containers.Run(a.ctx, r)
	s.close()
	return a.ran(res, err, false)
}

// attached says which streams a client wants.
type attached struct{ in, out, err bool }

// streams are those of -a; without it stdout and stderr, and stdin with -i.
func (f *runFlags) streams() (attached, error) {
	if len(f.attach) == 0 {
		return attached{in: f.Interactive(), out: true, err: true}, nil
	}
	var s attached
	for _, name := range f.attach {
		switch name {
		case "stdin", "STDIN":
			s.in = true
		case "stdout", "STDOUT":
			s.out = true
		case "stderr", "STDERR":
			s.err = true
		default:
			return s, fmt.Errorf("invalid argument %q for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR", name)
		}
	}
	return s, nil
}

// ran turns the end of a run into the command's own end.
func (a *app) ran(res engine.RunResult, err error, background bool) error {
	for _, w := range res.Warnings {
		a.warn(w)
	}
	switch {
	case errors.Is(err, detach.ErrDetached):
		return nil
	case err != nil:
		return exit{startCode(err, codeEngine), err}
	case background:
		return a.println(res.ID)
	case res.Exit.Code != 0:
		return exit{code: res.Exit.Code}
	}
	return nil
}
