package container

import (
	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
)

// Listing a thousand containers is to a good part decoding. The fields that
// most containers have are read here, whatever else there is by encoding/json:
// see package jsontext.

// readInto reads the file at path and decodes it. buf is for the bytes, see
// disk.ReadInto.
func readInto[T any](buf *[]byte, path string, v *T, quick func(*jsontext.Reader, *T)) error {
	var err error
	if *buf, err = disk.ReadInto(*buf, path); err != nil {
		return err
	}
	return fault.Op("read", path, fault.As(fault.Damaged, jsontext.Decode(*buf, v, quick)))
}

func quickStatus(r *jsontext.Reader, s *Status) {
	for key := range r.Object() {
		switch key {
		case "State":
			s.State = State(r.Text())
		case "Pid":
			s.Pid = int(r.Int(64))
		case "StartTicks":
			s.StartTicks = r.Uint(64)
		case "BootID":
			s.BootID = r.Text()
		case "MonitorPid":
			s.MonitorPid = int(r.Int(64))
		case "MonitorTicks":
			s.MonitorTicks = r.Uint(64)
		case "Exit":
			s.Exit = &ExitStatus{}
			quickExit(r, s.Exit)
		case "StartedAt":
			s.StartedAt = r.Time()
		case "FinishedAt":
			s.FinishedAt = r.Time()
		default:
			r.Leave(key, s)
		}
	}
}

func quickExit(r *jsontext.Reader, e *ExitStatus) {
	for key := range r.Object() {
		switch key {
		case "Code":
			e.Code = int(r.Int(64))
		case "Signal":
			e.Signal = int(r.Int(64))
		default:
			r.Leave(key, e)
		}
	}
}

func quickContainer(r *jsontext.Reader, c *Container) {
	for key := range r.Object() {
		switch key {
		case "ID":
			c.ID = r.Text()
		case "Name":
			c.Name = r.Text()
		case "Created":
			c.Created = r.Time()
		case "Image":
			c.Image = r.Text()
		case "ImageRef":
			c.ImageRef = r.Text()
		case "Snapshot":
			c.Snapshot = r.Text()
		case "Path":
			c.Path = r.Text()
		case "Args":
			c.Args = r.Texts()
		case "Request":
			quickRequest(r, &c.Request)
		default:
			r.Leave(key, c)
		}
	}
}

func quickRequest(r *jsontext.Reader, q *Request) {
	for key := range r.Object() {
		switch key {
		case "Name":
			q.Name = r.Text()
		case "Image":
			q.Image = r.Text()
		case "Args":
			q.Args = r.Texts()
		case "Entrypoint":
			q.Entrypoint = r.Texts()
		case "Env":
			q.Env = r.Texts()
		case "User":
			q.User = r.Text()
		case "WorkDir":
			q.WorkDir = r.Text()
		case "Hostname":
			q.Hostname = r.Text()
		case "TTY":
			q.TTY = r.Bool()
		case "OpenStdin":
			q.OpenStdin = r.Bool()
		case "Remove":
			q.Remove = r.Bool()
		case "Init":
			q.Init = r.Bool()
		case "ReadOnly":
			q.ReadOnly = r.Bool()
		case "Network":
			q.Network = r.Text()
		case "Labels":
			q.Labels = r.Table()
		case "Restart":
			quickRestart(r, &q.Restart)
		case "Pull":
			q.Pull = r.Text()
		default:
			r.Leave(key, q)
		}
	}
}

func quickRestart(r *jsontext.Reader, p *RestartPolicy) {
	for key := range r.Object() {
		switch key {
		case "Name":
			p.Name = r.Text()
		case "MaxRetries":
			p.MaxRetries = int(r.Int(64))
		default:
			r.Leave(key, p)
		}
	}
}
