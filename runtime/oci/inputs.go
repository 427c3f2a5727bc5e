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
	if doors, _ := doors(c.cg); len(doors) == 0 { // the plan has no point to wait for the groups
		if err := c.groupsMade(); err != nil {
			return err
		}
	}
	var err error
	if c.cgroupDir, err = c.cg.Dir(); err != nil {
		return err
	}
	if c.cgroupDir != nil {
		c.own = append(c.own, c.cgroupDir)
	}
	if uid, known := hostUID(c.spec, c.spec.Process.User.UID); known && !c.spec.Process.Terminal {
		if err := giveStdio(c.req.Stdio, uid); err != nil {
			return err
		}
	}
	for _, in := range c.plan.Inputs {
		f, err := c.input(in.What)
		if err != nil {
			return err
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
	case "net":
		return c.network.made()
	}
	var f *os.File
	var err error
	switch kind {
	case "idmap":
		f, err = mapNamespace(rest)
	case "ns":
		f, err = os.Open(rest)
	case "start":
		// Open for both directions: it neither waits for the other end nor
		// ends when a writer goes.
		f, err = os.OpenFile(c.r.startFile(c.req.ID), os.O_RDWR, 0)
	default:
		err = fault.New(fault.Internal, "unknown input")
	}
	if err != nil {
		return nil, fault.Op("open", what, err)
	}
	c.own = append(c.own, f)
	return f, nil
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

// closeOwn closes what was only for the child.
func (c *creation) closeOwn() {
	c.network.close()
	for _, f := range c.own {
		f.Close()
	}
}
