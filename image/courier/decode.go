package courier

import (
	"errors"
	"io"
	"os/exec"
	"strings"

	"github.com/berth-engine/berth/image/layer"
	"github.com/berth-engine/berth/internal/fault"
)

// Decode decompresses by starting the program that find finds, once for each
// stream.
//
//	r ── copy ──► stdin  berth-registry decompress KIND  stdout ──► plain
//
// Whatever happens to the reader of plain, the program ends: its input does,
// or it is killed.
func Decode(find func() (string, error)) layer.Decoder {
	return func(kind string, r io.Reader) (io.Reader, func(), error) {
		exe, err := find()
		if err != nil {
			return nil, nil, err
		}
		p := &process{cmd: exec.Command(exe, "decompress", kind), copied: make(chan error, 1)}
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
	cmd    *exec.Cmd
	out    io.ReadCloser
	said   said
	copied chan error // how r ended: nil at its end
	ended  error      // set once the program has been waited for
}

// feed copies r to the program. It may sit in a Read of r when all else has
// ended, as the reader of r may.
func (p *process) feed(in io.WriteCloser, r io.Reader) {
	src := &source{r: r}
	_, _ = io.Copy(in, src)
	p.copied <- src.err
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
	select {
	case from := <-p.copied:
		if from != nil {
			p.ended = from
			return p.ended
		}
	default: // the program did not want all of it
	}
	if err != nil && errors.Is(reason, io.EOF) {
		p.ended = fault.New(fault.Damaged, "%s", p.said.line(err))
	}
	return p.ended
}

// stop ends the program.
func (p *process) stop() {
	if p.ended == nil {
		_ = p.cmd.Process.Kill()
		p.wait(io.ErrClosedPipe)
	}
}

// said is what a program has said on its stderr, as far as anybody wants to
// know.
type said struct{ text []byte }

const maxSaid = 4 << 10

func (s *said) Write(p []byte) (int, error) {
	if room := maxSaid - len(s.text); room > 0 {
		s.text = append(s.text, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// line is its first one, or how the program ended.
func (s *said) line(end error) string {
	text, _, _ := strings.Cut(string(s.text), "\n")
	if text = strings.TrimSpace(strings.ToValidUTF8(text, "")); text == "" {
		return "the decompressing program: " + end.Error()
	}
	return text
}
