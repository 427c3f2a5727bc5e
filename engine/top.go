package engine

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/cgroup"
)

// TopRequest asks for the processes of a container.
type TopRequest struct {
	Name string
	Args []string // of ps; empty is -ef
}

// TopResult is a table as ps printed it.
type TopResult struct {
	Titles    []string
	Processes [][]string
}

// maxPs bounds what ps may print, in bytes.
const maxPs = 16 << 20

// Top runs the host's ps and keeps the lines of the container's processes.
func (c *Containers) Top(ctx context.Context, q TopRequest) (TopResult, error) {
	rec, err := c.Find(q.Name)
	if err != nil {
		return TopResult{}, err
	}
	s, err := c.truth(ctx, rec.ID)
	if err != nil {
		return TopResult{}, err
	}
	if s.State != container.Running && s.State != container.Paused {
		return TopResult{}, notRunning(rec)
	}
	pids, err := c.pids(rec, s)
	if err != nil {
		return TopResult{}, err
	}
	args := q.Args
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	out, err := ps(ctx, args)
	if err != nil {
		return TopResult{}, err
	}
	return chooseLines(out, pids)
}

func ps(ctx context.Context, args []string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "ps", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, fault.New(fault.Unsupported, "top needs the program ps: install procps")
	case err != nil && stderr.Len() > 0:
		first, _, _ := strings.Cut(stderr.String(), "\n")
		return nil, fault.New(fault.Invalid, "error running ps: %s", first)
	case err != nil:
		return nil, fault.Op("error running ps", "", err)
	case len(out) > maxPs:
		return nil, fault.New(fault.TooLarge, "ps printed more than %d bytes", maxPs)
	}
	return out, nil
}

// chooseLines keeps the header and the lines whose PID is among pids. The last
// column takes the rest of the line.
func chooseLines(out []byte, pids []int) (TopResult, error) {
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	res := TopResult{Titles: strings.Fields(lines[0])}
	at := slices.Index(res.Titles, "PID")
	if at < 0 {
		return TopResult{}, fault.New(fault.Invalid, "Couldn't find PID field in ps output; choose options of ps that show it, for example -o pid,cmd")
	}
	for _, line := range lines[1:] {
		f := fields(line, len(res.Titles))
		if len(f) <= at {
			continue
		}
		pid, err := strconv.Atoi(f[at])
		if err == nil && slices.Contains(pids, pid) {
			res.Processes = append(res.Processes, f)
		}
	}
	return res, nil
}

// fields splits at white space into at most n fields.
func fields(s string, n int) []string {
	var out []string
	for s = strings.TrimLeft(s, " \t"); s != "" && len(out) < n-1; s = strings.TrimLeft(s, " \t") {
		i := strings.IndexAny(s, " \t")
		if i < 0 {
			i = len(s)
		}
		out = append(out, s[:i])
		s = s[i:]
	}
	if s = strings.TrimRight(s, " \t"); s != "" {
		out = append(out, s)
	}
	return out
}

// pids are the processes of the container's group.
func (c *Containers) pids(rec *container.Container, s container.Status) ([]int, error) {
	layout, err := cgroup.Detect()
	if err != nil {
		return nil, err
	}
	m, err := layout.Manager(cgroupsPath(&rec.Request, rec.ID))
	if err != nil {
		return nil, err
	}
	pids, err := m.Pids()
	if err != nil || len(pids) == 0 {
		pids = []int{s.Pid}
	}
	return pids, nil
}
