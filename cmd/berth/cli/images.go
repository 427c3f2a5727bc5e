package cli

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/cmd/berth/format"
	"github.com/berth-engine/berth/cmd/berth/request"
	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/internal/fault"
)

type imagesFlags struct {
	all, quiet, full, digests bool
	format                    string
	filter                    request.List
}

func newImages(a *app) *cobra.Command {
	o := &imagesFlags{}
	c := &cobra.Command{
		Use:   "images [OPTIONS] [REPOSITORY[:TAG]]",
		Short: "List images",
		Args:  between(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.images(o, args)
		},
	}
	f := c.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "Show all images (default hides intermediate images)")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Only show image IDs")
	f.BoolVar(&o.full, "no-trunc", false, "Don't truncate output")
	f.BoolVar(&o.digests, "digests", false, "Show digests")
	f.StringVar(&o.format, "format", "", "Format output: table, 'table TEMPLATE', json, or a Go template")
	f.VarP(&o.filter, "filter", "f", "Filter output based on conditions provided (dangling, label, before, since, reference)")
	return c
}

// imageRow is what templates of images may name.
type imageRow struct {
	Containers   string
	CreatedAt    string
	CreatedSince string
	Digest       string
	ID           string
	Repository   string
	SharedSize   string
	Size         string
	Tag          string
	UniqueSize   string
	VirtualSize  string
}

func (a *app) images(o *imagesFlags, args []string) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	list, err := e.Images.List()
	if err != nil {
		return err
	}
	filters, err := filters(o.filter)
	if err != nil {
		return err
	}
	keep, err := a.imageFilter(filters, list, args)
	if err != nil {
		return err
	}
	now := time.Now()
	rows := []imageRow{}
	for _, img := range list {
		if keep(img) {
			rows = append(rows, imageRows(img, o, now, args, filters["reference"])...)
		}
	}
	s := format.Spec{
		Format: o.format,
		Table:  "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
		Quiet:  "{{.ID}}",
		Header: format.Header{
			"Repository": "REPOSITORY", "Tag": "TAG", "ID": "IMAGE ID", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT",
			"Size": "SIZE", "Digest": "DIGEST", "Containers": "CONTAINERS", "VirtualSize": "SIZE", "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE",
		},
	}
	if o.digests {
		s.Table = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
	}
	if s.Format == "" && !o.quiet {
		s.Format = a.clientConfig().ImagesFormat
	}
	return format.Print(a.out(), s, o.quiet, rows)
}

// imageRows is one row per name that the image has, or one without names.
func imageRows(img image.Image, o *imagesFlags, now time.Time, args, refs []string) []imageRow {
	row := imageRow{
		Containers: "N/A", SharedSize: "N/A", UniqueSize: "N/A", Digest: "<none>",
		ID: img.ID.String(), Repository: "<none>", Tag: "<none>",
		CreatedAt: img.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"), CreatedSince: format.Ago(img.Created, now),
		Size: format.Size(img.Size), VirtualSize: format.Size(img.Size),
	}
	if !o.full {
		row.ID = format.ShortID(row.ID)
	}
	if len(img.RepoDigests) > 0 {
		if _, d, ok := strings.Cut(img.RepoDigests[0], "@"); ok {
			row.Digest = d
		}
	}
	rows := []imageRow{}
	for _, ref := range img.Refs {
		name := image.Familiar(ref)
		if !refMatches(name, args, refs) {
			continue
		}
		r := row
		r.Repository, r.Tag = name, "<none>"
		if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
			r.Repository, r.Tag = name[:i], name[i+1:]
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 && len(args) == 0 && len(refs) == 0 {
		if len(img.RepoDigests) > 0 {
			repo, _, _ := strings.Cut(img.RepoDigests[0], "@")
			row.Repository = image.Familiar(repo)
		}
		rows = append(rows, row)
	}
	return rows
}

// refMatches reports whether a name is one of those asked for: as REPOSITORY,
// REPOSITORY:TAG, or a pattern with *.
func refMatches(name string, args, refs []string) bool {
	match := func(p string) bool {
		if p == name {
			return true
		}
		repo := name
		if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
			repo = name[:i]
		}
		p = strings.TrimPrefix(p, "docker.io/library/")
		a, _ := path.Match(p, name)
		b, _ := path.Match(p, repo)
		return a || b
	}
	if len(args) > 0 && !match(args[0]) {
		return false
	}
	return len(refs) == 0 || slices.ContainsFunc(refs, match)
}

func (a *app) imageFilter(filters map[string][]string, list []image.Image, args []string) (func(image.Image) bool, error) {
	var tests []func(image.Image) bool
	for k, values := range filters {
		for _, v := range values {
			t, err := a.imageTest(k, v)
			if err != nil {
				return nil, err
			}
			tests = append(tests, t)
		}
	}
	return func(img image.Image) bool {
		return !slices.ContainsFunc(tests, func(t func(image.Image) bool) bool { return !t(img) })
	}, nil
}

func (a *app) imageTest(k, v string) (func(image.Image) bool, error) {
	switch k {
	case "reference":
		return func(image.Image) bool { return true }, nil // by name, later
	case "dangling":
		want := v == "true" || v == "1"
		return func(i image.Image) bool { return (len(i.Refs) == 0) == want }, nil
	case "label", "label!":
		key, val, valued := strings.Cut(v, "=")
		return func(i image.Image) bool {
			got, ok := i.Config.Config.Labels[key]
			return (ok && (!valued || got == val)) != (k == "label!")
		}, nil
	case "before", "since":
		e, err := a.engine()
		if err != nil {
			return nil, err
		}
		pivot, err := e.Images.Resolve(v)
		if err != nil {
			return nil, notFound(err, "image", v)
		}
		if k == "before" {
			return func(i image.Image) bool { return i.Created.Before(pivot.Created) }, nil
		}
		return func(i image.Image) bool { return i.Created.After(pivot.Created) }, nil
	case "until":
		t, err := moment(v, time.Now())
		return func(i image.Image) bool { return i.Created.Before(t) }, err
	}
	return nil, fault.New(fault.Invalid, "invalid filter '%s'", k)
}

// filters reads --filter words.
func filters(words []string) (map[string][]string, error) {
	m := map[string][]string{}
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if k = strings.ToLower(strings.TrimSpace(k)); !ok || k == "" {
			return nil, fault.As(fault.Invalid, fmt.Errorf("invalid argument %q for \"-f, --filter\" flag: invalid filter, write key=value", w))
		}
		m[k] = append(m[k], strings.TrimSpace(v))
	}
	return m, nil
}
