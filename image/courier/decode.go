package courier

import (
	"context"
	"errors"
	"io"
	"os/exec"

	"github.com/berth-engine/berth/image/layer"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/scrap"
)

// BadStream is the exit status of a decompression that found the stream bad and
// said why on its stderr. Any other but 0 tells nothing of the stream.
const BadStream = 3

// Decode decompresses by starting the program that find finds, once for each
// stream.
//
//	r ── copy ──► stdin  berth-registry decompress KIND  stdout ──► plain
//
// The program ends in any case: with its input, which ours closes by dying,
// or, when ctx is done or nobody reads plain any more, killed.
func Decode(find func() (string, error)) layer.Decoder {
	return func(ctx context.Context, kind string, r io.Reader) (io.Reader, func(), error) {
		exe, err := find()
		if err != nil {
			return nil, nil, err
		}
		p := &process{cmd: exec.CommandContext(ctx, exe, "decompress", kind), fed: make(chan fed, 1)}
		p.cmd.Stderr = &p.said
		in, err := p.cmd.StdinPipe()
		if err != nil {
			return nil, nil, cannotStart(exe, err)
		}
		if p.out, err = p.cmd.StdoutPipe(); err != nil {
			in.Close()
			return nil, nil, cannotStart(exe, err)
		}
		if err := p.cmd.Start(); err != nil {
			return nil, nil, cannotStart(exe, err)
		}
		go p.feed(in, r)
		return p, p.stop, nil
	}
}

// process is a running decompression.
type process struct {
	cmd   *exec.Cmd
	out   io.ReadCloser
	said  scrap.Scrap
	fed   chan fed
	ended error // set once the program has been waited for
}

// fed is how copying to the program ended.
type fed struct {
	source error // why the source could not be read on
	whole  bool  // the program has all of it
}

// feed copies r to the program. It may sit in a Read of r when all else has
// ended, as the reader of r may.
func (p *process) feed(in io.WriteCloser, r io.Reader) {
	src := &source{r: r}
	_, err := io.Copy(in, src)
	p.fed <- fed{source: src.err, whole: err == nil} // before the program can see the end
	in.Close()
}

// source remembers why reading failed, which is not why writing did.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (p *process) Read(b []byte) (int, error) {
	if p.ended != nil {
		return 0, p.ended
	}
	n, err := p.out.Read(b)
	if err != nil {
		err = p.wait(err)
	}
	return n, err
}

// wait takes the program's end and says what it means. reason is why its
// output cannot be read on.
func (p *process) wait(reason error) error {
	if p.ended != nil {
		return p.ended
	}
	p.ended = reason
	err := p.cmd.Wait()
	var f fed
	select {
	case f = <-p.fed:
	default: // it ended without having seen the end
	}
	switch {
	case f.source != nil:
		p.ended = f.source
	case !errors.Is(reason, io.EOF):
	case err != nil:
		p.ended = p.explain(err)
	case !f.whole:
		p.ended = fault.New(fault.Unavailable, "%s decompress: it ended before the stream did", p.cmd.Path)
	}
	return p.ended
}

// explain tells a bad stream from a program that could not do its work: an old
// one, one that broke down or was killed.
func (p *process) explain(end error) error {
	line := p.said.Line()
	bad := p.cmd.ProcessState.ExitCode() == BadStream
	switch {
	case bad && line == io.ErrUnexpectedEOF.Error():
		return fault.As(fault.Damaged, io.ErrUnexpectedEOF) // callers ask for it
	case bad && line != "":
		return fault.New(fault.Damaged, "%s", line)
	case line != "":
		return fault.New(fault.Unavailable, "%s decompress: %w: %s", p.cmd.Path, end, line)
	}
	return fault.New(fault.Unavailable, "%s decompress: %w", p.cmd.Path, end)
}

// stop ends the program.
func (p *process) stop() {
	if p.ended == nil {
		_ = p.cmd.Process.Kill()
		p.wait(io.ErrClosedPipe)
	}
}
