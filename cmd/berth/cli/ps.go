package cli

import (
	"cmp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/cmd/berth/format"
	"github.com/berth-engine/berth/cmd/berth/request"
	"github.com/berth-engine/berth/engine"
	"github.com/berth-engine/berth/image"
)

type psFlags struct {
	all, quiet, full, latest, size bool
	last                           int
	format                         string
	filter                         request.List
}

func newPs(a *app) *cobra.Command {
	o := &psFlags{}
	c := &cobra.Command{
		Use:     "ps [OPTIONS]",
		Short:   "List containers",
		Example: "  berth ps -a --filter status=exited\n  berth ps --format '{{.Names}}: {{.Status}}'",
		Args:    exactly(0),
		RunE:    func(*cobra.Command, []string) error { return a.ps(o) },
	}
	f := c.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "Show all containers (default shows just running)")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Only display container IDs")
	f.BoolVarP(&o.size, "size", "s", false, "Display total file sizes")
	f.BoolVar(&o.full, "no-trunc", false, "Don't truncate output")
	f.BoolVarP(&o.latest, "latest", "l", false, "Show the latest created container (includes all states)")
	f.IntVarP(&o.last, "last", "n", -1, "Show n last created containers (includes all states)")
	f.StringVar(&o.format, "format", "", "Format output: table, 'table TEMPLATE', json, or a Go template")
	f.VarP(&o.filter, "filter", "f", "Filter output based on conditions provided")
	return c
}

// psRow is what templates of ps may name.
type psRow struct {
	Command      string
	CreatedAt    string
	ID           string
	Image        string
	Labels       string
	LocalVolumes string
	Mounts       string
	Names        string
	Networks     string
	Ports        string
	RunningFor   string
	Size         string
	State        string
	Status       string

	labels map[string]string
}

// Label is the value of one label.
func (r psRow) Label(name string) string { return r.labels[name] }

const psTable = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"

func (a *app) ps(o *psFlags) error {
	debug.SetGCPercent(400) // many small records, and then this process ends
	e, err := a.engine()
	if err != nil {
		return err
	}
	s := format.Spec{
		Format: o.format, Table: psTable, Quiet: "{{.ID}}",
		Header: format.Header{
			"ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "CreatedAt": "CREATED AT", "RunningFor": "CREATED",
			"Status": "STATUS", "State": "STATE", "Ports": "PORTS", "Names": "NAMES", "Labels": "LABELS", "Mounts": "MOUNTS",
			"Networks": "NETWORKS", "Size": "SIZE", "LocalVolumes": "LOCAL VOLUMES",
		},
	}
	if s.Format == "" && !o.quiet {
		s.Format = a.clientConfig().PsFormat
	}
	if o.size {
		s.Table += "\t{{.Size}}"
	}
	q := engine.ListRequest{All: o.all, Last: max(o.last, 0), Size: o.size || s.Uses("Size") && o.format != "json"}
	if o.latest {
		q.Last = 1
	}
	if q.Filters, err = filters(o.filter); err != nil {
		return err
	}
	items, damage := e.Containers.List(a.ctx, q)
	if items == nil && damage != nil {
		return damage
	}
	now := time.Now()
	rows := make([]psRow, len(items))
	for i, it := range items {
		rows[i] = rowOf(it, o.full, q.Size, now)
	}
	if err := format.Print(a.out(), s, o.quiet, rows); err != nil {
		return err
	}
	return damage
}

func rowOf(it engine.Item, full, size bool, now time.Time) psRow {
	r := psRow{
		ID: it.ID, Image: imageColumn(it), Names: it.Name,
		Command:   format.Command(it.Path, it.Args, full),
		CreatedAt: it.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"), RunningFor: format.Ago(it.Created, now),
		State: string(it.Status.State), Status: engine.StatusText(it.Status, now),
		Networks: engine.NetworkMode(&it.Request), LocalVolumes: "0", labels: it.Request.Labels, Size: "0B",
	}
	if !full {
		r.ID = format.ShortID(r.ID)
	}
	if size {
		r.Size = format.Size(it.Written)
		if it.Root > 0 {
			r.Size += " (virtual " + format.Size(it.Root) + ")"
		}
	}
	var labels, mounts []string
	for k, v := range it.Request.Labels {
		labels = append(labels, k+"="+v)
	}
	slices.SortFunc(labels, cmp.Compare)
	for _, m := range it.Request.Mounts {
		if m.Type != "bind" {
			continue
		}
		source := m.Source
		if !full {
			source = format.Ellipsis(source, 15)
		}
		mounts = append(mounts, source)
	}
	r.Labels, r.Mounts = strings.Join(labels, ","), strings.Join(mounts, ",")
	return r
}

// imageColumn is the name as it was given, or the short id.
func imageColumn(it engine.Item) string {
	if it.ImageRef == "" {
		return it.Request.Rootfs
	}
	if strings.HasPrefix(it.ImageRef, "sha256:") {
		return format.ShortID(it.ImageRef)
	}
	return image.Familiar(it.ImageRef)
}
