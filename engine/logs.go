package engine

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/logfile"
	"github.com/berth-engine/berth/internal/fault"
)

// LogsRequest chooses lines of a container's output.
type LogsRequest struct {
	Name         string
	Follow       bool
	Tail         int // the last n lines; -1 is all
	Since, Until time.Time
	Timestamps   bool
	Details      bool // labels and environment that log options name
}

// Logs writes the stored output of a container, each stream to its own writer,
// and with Follow what comes until the container ends.
func (c *Containers) Logs(ctx context.Context, q LogsRequest, out, err io.Writer) error {
	rec, ferr := c.Find(q.Name)
	if ferr != nil {
		return ferr
	}
	records, ferr := c.records()
	if ferr != nil {
		return ferr
	}
	path := c.logFile(records, rec)
	if path == "" {
		return fault.New(fault.Unsupported, "configured logging driver does not support reading: container %s was made with --log-driver none", rec.Name)
	}
	o := logfile.ReadOptions{Since: q.Since, Until: q.Until, Tail: q.Tail, Follow: q.Follow}
	switch {
	case q.Tail == 0:
		o.Tail = -1
	case q.Tail < 0:
		o.Tail = 0
	}
	o.Ended = func() bool {
		s, err := c.truth(ctx, rec.ID)
		return err != nil || !alive(s.State)
	}
	if !q.Until.IsZero() && q.Follow {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, q.Until)
		defer cancel()
	}
	p := printer{q: q, out: [2]io.Writer{out, err}, details: details(rec)}
	rerr := logfile.Read(ctx, path, o, p.print)
	if errors.Is(rerr, context.DeadlineExceeded) && !q.Until.IsZero() {
		return nil
	}
	return rerr
}

// printer writes entries as docker does.
type printer struct {
	q       LogsRequest
	out     [2]io.Writer // stdout, stderr
	details string
	line    []byte
}

func (p *printer) print(e logfile.Entry) error {
	w := p.out[e.Stream]
	if e.Gap {
		_, err := io.WriteString(p.out[logfile.Stderr], "berth: lines were rotated away before they could be read\n")
		return err
	}
	p.line = p.line[:0]
	if !e.Continued {
		if p.q.Timestamps {
			p.line = e.Time.UTC().AppendFormat(p.line, "2006-01-02T15:04:05.000000000Z07:00")
			p.line = append(p.line, ' ')
		}
		if p.q.Details {
			p.line = append(p.line, p.details...)
			p.line = append(p.line, ' ')
		}
	}
	p.line = append(p.line, e.Line...)
	_, err := w.Write(p.line)
	return err
}

// details are the labels of a container, sorted, as k=v,k=v.
func details(rec *container.Container) string {
	var list []string
	for k, v := range rec.Request.Labels {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}
