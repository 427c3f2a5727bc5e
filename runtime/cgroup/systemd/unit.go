package systemd

import (
	"errors"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// The manager's object, org.freedesktop.systemd1(5).
const (
	service = "org.freedesktop.systemd1"
	object  = "/org/freedesktop/systemd1"
	manager = "org.freedesktop.systemd1.Manager"
)

func managerTarget(member string) target { return target{service, object, manager, member} }

// StartScope makes a transient scope and returns when it is there. One of that
// name that has failed before is forgotten first; one that lives is an error
// of class Exists.
func (c *Conn) StartScope(name string, props []Property) error {
	const op = "systemd.start"
	w := &writer{}
	w.str(name)
	w.str("fail") // if there is a job for it already
	w.properties(props)
	w.array(8, func() {}) // further units
	err := c.job("StartTransientUnit", "ssa(sv)a(sa(sv))", w.b)
	if errors.Is(err, fault.Exists) && c.forget(name) == nil {
		err = c.job("StartTransientUnit", "ssa(sv)a(sa(sv))", w.b)
	}
	return fault.Op(op, name, err)
}

// Stop stops a unit and returns when it is gone. What is not there is gone.
func (c *Conn) Stop(name string) error {
	w := &writer{}
	w.str(name)
	w.str("replace")
	err := c.job("StopUnit", "ss", w.b)
	_ = c.forget(name) // one that failed stays until somebody does this
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	return fault.Op("systemd.stop", name, err)
}

// SetProperties changes a unit until it stops.
func (c *Conn) SetProperties(name string, props []Property) error {
	w := &writer{}
	w.str(name)
	w.bool(true) // not for good
	w.properties(props)
	_, err := c.call(managerTarget("SetUnitProperties"), "sba(sv)", w.b)
	return fault.Op("systemd.set", name, err)
}

// forget makes systemd drop a unit that has failed.
func (c *Conn) forget(name string) error {
	w := &writer{}
	w.str(name)
	_, err := c.call(managerTarget("ResetFailedUnit"), "s", w.b)
	return err
}

// job makes a call that starts a job and waits for its end.
func (c *Conn) job(member, signature string, body []byte) error {
	m, err := c.call(managerTarget(member), signature, body)
	if err != nil {
		return err
	}
	if err := m.want("o"); err != nil {
		return err
	}
	job := m.body.str()
	if m.body.err != nil {
		return m.body.err
	}
	result, err := c.wait(job)
	if err == nil && result != "done" {
		err = fault.New(fault.Internal, "the job ended as %q; see journalctl", result)
	}
	return err
}

// property reads one of the manager's own, a string.
func (c *Conn) property(name string) (string, error) {
	w := &writer{}
	w.str(manager)
	w.str(name)
	m, err := c.call(target{service, object, "org.freedesktop.DBus.Properties", "Get"}, "ss", w.b)
	if err != nil {
		return "", err
	}
	if err := m.want("v"); err != nil {
		return "", err
	}
	if kind := m.body.signature(); kind != "s" {
		return "", fault.New(fault.Damaged, "property %s is of type %q", name, kind)
	}
	return m.body.str(), m.body.err
}

// ControlGroup is the group that the manager's units are below: "" at the top
// of the machine.
func (c *Conn) ControlGroup() (string, error) {
	group, err := c.property("ControlGroup")
	return strings.TrimSuffix(group, "/"), fault.Op("systemd.group", "", err)
}

// Version is systemd's number, from "252.39-1~deb12u1" or "v242-rc1".
func (c *Conn) Version() (int, error) {
	text, err := c.property("Version")
	if err != nil {
		return 0, fault.Op("systemd.version", "", err)
	}
	digits := strings.TrimPrefix(text, "v")
	if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = digits[:end]
	}
	n, err := strconv.Atoi(digits)
	return n, fault.Op("systemd.version", text, err)
}
