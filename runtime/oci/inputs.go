package oci

import (
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// inputs opens what the plan asks for.
func (c *creation) inputs(context.Context) error {
	if err := c.openGroups(); err != nil {
		return err
	}
	for _, in := range c.plan.Inputs {
		f, err := c.input(in.What)
		if err != nil {
			return fault.Op("open", in.What, err)
		}
		c.open = append(c.open, f)
	}
	return nil
}

func (c *creation) input(what string) (*os.File, error) {
	kind, rest, _ := strings.Cut(what, ":")
	switch kind {
	case "stdin", "stdout", "stderr":
		return c.req.Stdio[stdioNumber(kind)], nil
	case "preserve":
		n, err := strconv.Atoi(rest)
		return c.req.Preserve[n], err
	case "cgroup":
		return findDoor(c.own, rest)
	}
	var f *os.File
	var err error
	switch kind {
	case "ns":
		f, err = os.Open(rest)
	case "start":
		// Open for both directions: it neither waits for the other end nor
		// ends when a writer goes.
		f, err = os.OpenFile(c.r.startFile(c.req.ID), os.O_RDWR, 0)
	default:
		err = fault.New(fault.Internal, "unknown input")
	}
	if err == nil {
		c.own = append(c.own, f)
	}
	return f, err
}

func stdioNumber(name string) int {
	switch name {
	case "stdin":
		return 0
	case "stdout":
		return 1
	}
	return 2
}

// openGroups opens the groups, which are there by now.
func (c *creation) openGroups() error {
	if err := c.groupsMade(); err != nil {
		return err
	}
	doors, err := c.cg.Doors()
	if err != nil {
		return err
	}
	c.own = append(c.own, doors...)
	if c.cgroupDir, err = c.cg.Dir(); err == nil && c.cgroupDir != nil {
		c.own = append(c.own, c.cgroupDir)
	}
	return err
}

// findDoor returns the tasks file of a hierarchy.
func findDoor(doors []*os.File, name string) (*os.File, error) {
	for _, d := range doors {
		if doorName(d.Name()) == name {
			return d, nil
		}
	}
	return nil, fault.New(fault.Internal, "no group in hierarchy %s", name)
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
