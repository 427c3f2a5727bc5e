package courier

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/internal/fault"
)

// Fetch pulls by starting the program that find finds, once for each pull. The
// program has our environment, where proxies are named, our stderr, and our
// process group: an interrupt from the terminal reaches it too. Logins is the
// directory of docker's config.json; "" leaves it to the environment.
func Fetch(find func() (string, error), logins string) image.Fetch {
	return func(ctx context.Context, s *image.Store, name string, o image.PullOptions) (image.PullResult, error) {
		exe, err := find()
		if err != nil {
			return image.PullResult{}, err
		}
		cmd := exec.CommandContext(ctx, exe, args(s.Root(), name, o)...)
		if logins != "" {
			cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+logins)
		}
		d, err := send(ctx, cmd, o.Progress)
		if err != nil {
			return image.PullResult{}, err
		}
		img, err := s.Resolve(d.ID.String())
		if err != nil {
			return image.PullResult{}, err
		}
		return image.PullResult{Image: img, Ref: d.Ref, Digest: d.Digest, UpToDate: d.UpToDate}, nil
	}
}

// args are the words after the program's name.
func args(root, name string, o image.PullOptions) []string {
	list := []string{"--root", root, "pull"}
	if o.Platform != "" {
		list = append(list, "--platform", o.Platform)
	}
	if o.Progress == nil {
		list = append(list, "--quiet")
	}
	return append(list, "--", name)
}

// send runs the program until it has said its last line or ctx is done, and
// waits for its end in any case.
func send(ctx context.Context, cmd *exec.Cmd, tell func(image.Event)) (*done, error) {
	exe := cmd.Path
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stderr = os.Stderr
	alive, err := cmd.StdinPipe() // never written to; its end is our end
	if err != nil {
		return nil, cannotStart(exe, err)
	}
	defer alive.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, cannotStart(exe, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, cannotStart(exe, err)
	}
	d, err := listen(out, tell)
	alive.Close()
	out.Close()
	end := cmd.Wait()
	switch {
	case err == nil:
		return d, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, io.EOF):
		return nil, fault.New(fault.Unavailable, "%s ended without saying how the pull went: %s", exe, ending(end))
	}
	return nil, err
}

// cannotStart leaves out that it was a fork and exec of ours: this is not the
// program that the user wants to run.
func cannotStart(exe string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fault.New(fault.Unavailable, "cannot start %s: %w", exe, err)
}

// ending says how a program ended that was to end well.
func ending(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// listen hands events on until the last line, whose news it returns. io.EOF
// means that there was none.
func listen(r io.Reader, tell func(image.Event)) (*done, error) {
	lines := bufio.NewReaderSize(r, maxLine)
	for {
		text, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fault.New(fault.TooLarge, "news of a pull: a line is longer than %d bytes", maxLine)
		case err != nil:
			return nil, io.EOF // cut off, or closed by us: either way there is no more
		}
		l, err := parse(text)
		switch {
		case err != nil:
			return nil, fault.Op("news of a pull", "", err)
		case l.Done != nil:
			return l.Done, nil
		case l.Error != nil:
			return nil, l.Error.err()
		case tell != nil:
			tell(image.Event(*l.Event))
		}
	}
}
