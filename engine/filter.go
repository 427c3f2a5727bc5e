package engine

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/internal/fault"
)

// filter compiles docker's filters of ps: values of one key are alternatives,
// keys must all match.
func (c *Containers) filter(filters map[string][]string, all []*container.Container) (func(Item) bool, error) {
	var tests []func(Item) bool
	for key, values := range filters {
		var any []func(Item) bool
		for _, v := range values {
			t, err := c.test(key, v, all)
			if err != nil {
				return nil, err
			}
			any = append(any, t)
		}
		tests = append(tests, func(it Item) bool {
			return slices.ContainsFunc(any, func(t func(Item) bool) bool { return t(it) })
		})
	}
	return func(it Item) bool {
		return !slices.ContainsFunc(tests, func(t func(Item) bool) bool { return !t(it) })
	}, nil
}

func (c *Containers) test(key, v string, all []*container.Container) (func(Item) bool, error) {
	switch key {
	case "id":
		return pattern(v, func(it Item) string { return it.ID })
	case "name":
		return pattern(v, func(it Item) string { return "/" + it.Name }, func(it Item) string { return it.Name })
	case "label":
		k, want, valued := strings.Cut(v, "=")
		return func(it Item) bool {
			got, ok := it.Request.Labels[k]
			return ok && (!valued || got == want)
		}, nil
	case "status":
		return status(v)
	case "exited":
		n, err := strconv.Atoi(v)
		if err != nil {
			return nil, badFilter(key, v)
		}
		return func(it Item) bool { return it.Status.State == container.Exited && exitCode(it.Status) == n }, nil
	case "ancestor":
		return c.ancestor(v), nil
	case "before", "since":
		return c.age(key, v, all)
	case "volume":
		return func(it Item) bool {
			return slices.ContainsFunc(it.Request.Mounts, func(m container.Mount) bool { return m.Source == v || m.Target == v })
		}, nil
	case "network":
		return func(it Item) bool { return NetworkMode(&it.Request) == v }, nil
	case "health":
		if !slices.Contains([]string{"starting", "healthy", "unhealthy", "none"}, v) {
			return nil, badFilter(key, v)
		}
		return func(Item) bool { return v == "none" }, nil
	case "is-task":
		b, err := strconv.ParseBool(v)
		if err != nil {
			return nil, badFilter(key, v)
		}
		return func(Item) bool { return !b }, nil
	case "publish", "expose":
		return func(Item) bool { return false }, nil
	case "isolation":
		return func(Item) bool { return v == "default" }, nil
	}
	return nil, fault.New(fault.Invalid, "invalid filter '%s'", key)
}

func badFilter(key, v string) error {
	return fault.New(fault.Invalid, "invalid filter '%s=%s'", key, v)
}

// pattern matches a regular expression, or a substring where v is none.
func pattern(v string, fields ...func(Item) string) (func(Item) bool, error) {
	re, err := regexp.Compile(v)
	match := func(s string) bool { return strings.Contains(s, v) }
	if err == nil {
		match = re.MatchString
	}
	return func(it Item) bool {
		return slices.ContainsFunc(fields, func(f func(Item) string) bool { return match(f(it)) })
	}, nil
}

func status(v string) (func(Item) bool, error) {
	known := []container.State{
		container.Created, container.Running, container.Paused, container.Restarting,
		container.Removing, container.Exited, container.Dead,
	}
	if !slices.Contains(known, container.State(v)) {
		return nil, badFilter("status", v)
	}
	return func(it Item) bool { return it.Status.State == container.State(v) }, nil
}

func (c *Containers) ancestor(v string) func(Item) bool {
	id := ""
	if images, err := c.images(); err == nil {
		if img, err := images.Resolve(v); err == nil {
			id = img.ID.String()
		}
	}
	return func(it Item) bool {
		return it.ImageRef == v || (id != "" && it.Image == id)
	}
}

func (c *Containers) age(key, v string, _ []*container.Container) (func(Item) bool, error) {
	pivot, err := c.Find(v)
	if err != nil {
		return nil, err
	}
	if key == "before" {
		return func(it Item) bool { return it.Created.Before(pivot.Created) }, nil
	}
	return func(it Item) bool { return it.Created.After(pivot.Created) }, nil
}

// NetworkMode is the network of a container in one word: none where nothing
// was asked for.
func NetworkMode(r *container.Request) string {
	if r.Network == "" {
		return "none"
	}
	return r.Network
}
