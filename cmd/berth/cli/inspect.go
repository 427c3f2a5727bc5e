package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/cmd/berth/format"
	"github.com/berth-engine/berth/cmd/berth/shape"
	"github.com/berth-engine/berth/engine"
	"github.com/berth-engine/berth/internal/fault"
)

type inspectFlags struct {
	format, kind string
	size         bool
}

func newInspect(a *app) *cobra.Command {
	o := &inspectFlags{}
	c := &cobra.Command{
		Use:   "inspect [OPTIONS] NAME|ID [NAME|ID...]",
		Short: "Return low-level information on berth objects",
		Args:  atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.inspect(o, args)
		},
	}
	o.register(c)
	c.Flags().StringVar(&o.kind, "type", "", "Only inspect objects of the given type (container, image)")
	c.Flags().BoolVarP(&o.size, "size", "s", false, "Display total file sizes if the type is container")
	return c
}

func (o *inspectFlags) register(c *cobra.Command) {
	c.Flags().StringVarP(&o.format, "format", "f", "", "Format output: json, or a Go template")
}

func newContainerInspect(a *app) *cobra.Command {
	o := &inspectFlags{kind: "container"}
	c := &cobra.Command{
		Use:   "inspect [OPTIONS] CONTAINER [CONTAINER...]",
		Short: "Display detailed information on one or more containers",
		Args:  atLeast(1),
		RunE:  func(_ *cobra.Command, args []string) error { return a.inspect(o, args) },
	}
	o.register(c)
	c.Flags().BoolVarP(&o.size, "size", "s", false, "Display total file sizes")
	return c
}

func newImageInspect(a *app) *cobra.Command {
	o := &inspectFlags{kind: "image"}
	c := &cobra.Command{
		Use:   "inspect [OPTIONS] IMAGE [IMAGE...]",
		Short: "Display detailed information on one or more images",
		Args:  atLeast(1),
		RunE:  func(_ *cobra.Command, args []string) error { return a.inspect(o, args) },
	}
	o.register(c)
	return c
}

// inspect prints what there is of every name, then the errors of the others.
func (a *app) inspect(o *inspectFlags, names []string) error {
	switch o.kind {
	case "", "container", "image":
	default:
		return fault.New(fault.Invalid, "%q is not a valid value for --type; this version has container and image", o.kind)
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	var found []any
	var missing []error
	for _, name := range names {
		v, err := a.object(e, o, name)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		found = append(found, v)
	}
	if err := a.printObjects(o.format, found); err != nil {
		return err
	}
	for _, err := range missing {
		a.complain(err)
	}
	if missing != nil {
		return exit{code: 1}
	}
	return nil
}

// object finds a container or, if there is none of that name, an image.
func (a *app) object(e *engine.Engine, o *inspectFlags, name string) (any, error) {
	if o.kind != "image" {
		d, err := e.Containers.Inspect(a.ctx, name)
		if err == nil {
			if o.size {
				d.Sizes = e.Containers.Sizes(d.Container)
			}
			return shape.Container(d, o.size), nil
		}
		if o.kind == "container" || !errors.Is(err, fault.NotFound) {
			return nil, notFound(err, "container", name)
		}
	}
	img, err := e.Images.Resolve(name)
	if err == nil {
		return shape.Image(img), nil
	}
	if o.kind == "image" {
		return nil, notFound(err, "image", name)
	}
	return nil, notFound(err, "object", name)
}

func (a *app) printObjects(text string, found []any) error {
	var b bytes.Buffer
	switch text {
	case "", "json":
		if found == nil {
			found = []any{}
		}
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if text == "" {
			enc.SetIndent("", "    ")
		}
		if err := enc.Encode(found); err != nil {
			return err
		}
	default:
		for _, v := range found {
			if err := execute(&b, text, v); err != nil {
				return err
			}
			b.WriteByte('\n')
		}
	}
	_, err := a.out().Write(b.Bytes())
	return err
}

// execute runs a template on v and, if that fails, on v's JSON as a map, where
// everything that inspect prints can be named.
func execute(b *bytes.Buffer, text string, v any) error {
	t, err := format.Parse(text)
	if err != nil {
		return exit{64, err}
	}
	start := b.Len()
	first := t.Execute(b, v)
	if first == nil {
		return nil
	}
	b.Truncate(start)
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var raw any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&raw); err != nil {
		return err
	}
	if err := t.Option("missingkey=error").Execute(b, raw); err != nil {
		return exit{1, fmt.Errorf("template parsing error: %w", first)}
	}
	return nil
}
