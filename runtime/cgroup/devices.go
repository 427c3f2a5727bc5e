package cgroup

import (
	"fmt"
	"math"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
)

// Rule is a device rule with everything spelled out.
type Rule struct {
	Allow        bool
	Type         byte  // 'a' both, 'b' block, 'c' character
	Major, Minor int64 // -1: any
	Access       Access
}

// Access is a set of what can be done with a device. The bits are those of
// the kernel's BPF_DEVCG_ACC_*.
type Access uint8

// The kinds of access.
const (
	Mknod Access = 1 << iota
	Read
	Write
	allAccess = Mknod | Read | Write
)

func (a Access) String() string {
	var s string
	for _, k := range []struct {
		bit  Access
		name string
	}{{Read, "r"}, {Write, "w"}, {Mknod, "m"}} {
		if a&k.bit != 0 {
			s += k.name
		}
	}
	return s
}

// all reports whether the rule is about every access to every device.
func (r Rule) all() bool {
	return r.Type == 'a' && r.Major == -1 && r.Minor == -1 && r.Access == allAccess
}

// String writes the rule as devices.allow and devices.deny take it.
func (r Rule) String() string {
	if r.all() {
		return "a"
	}
	number := func(v int64) string {
		if v == -1 {
			return "*"
		}
		return signed(v)
	}
	return string(r.Type) + " " + number(r.Major) + ":" + number(r.Minor) + " " + r.Access.String()
}

// DeviceRules is the whole list for a container: deny everything, then what
// the specification lists, in its order, then the devices every container
// has. Later rules win. No list means the default list, never everything.
func DeviceRules(list []specs.LinuxDeviceCgroup) ([]Rule, error) {
	rules := []Rule{denyAll()}
	for i := range list {
		r, err := parseRule(&list[i])
		if err != nil {
			return nil, fmt.Errorf("%s.%w", element("linux.resources.devices", i), err)
		}
		rules = append(rules, r...)
	}
	return append(rules, defaultRules()...), nil
}

// defaultRules let a container make any node (the capability to do so is
// another matter) and use the harmless ones: what it can open is what counts.
// /dev/net/tun is not among them.
func defaultRules() []Rule {
	char := func(major, minor int64, a Access) Rule {
		return Rule{Allow: true, Type: 'c', Major: major, Minor: minor, Access: a}
	}
	return []Rule{
		char(-1, -1, Mknod),
		{Allow: true, Type: 'b', Major: -1, Minor: -1, Access: Mknod},
		char(1, 3, allAccess),    // null
		char(1, 5, allAccess),    // zero
		char(1, 7, allAccess),    // full
		char(1, 8, allAccess),    // random
		char(1, 9, allAccess),    // urandom
		char(5, 0, allAccess),    // tty
		char(5, 2, allAccess),    // ptmx
		char(136, -1, allAccess), // pts/*
	}
}

// parseRule checks a rule of the specification. A rule for both types that is
// not about everything becomes two: in the kernel's v1 files "a" means all
// devices and all access, whatever follows it.
func parseRule(d *specs.LinuxDeviceCgroup) ([]Rule, error) {
	r := Rule{Allow: d.Allow, Type: 'a', Major: -1, Minor: -1}
	switch d.Type {
	case "", "a":
	case "b", "c":
		r.Type = d.Type[0]
	case "u":
		r.Type = 'c'
	default:
		return nil, fault.Op("type", "", fault.New(fault.Invalid, "%q: give a, b or c", d.Type))
	}
	var err error
	if r.Access, err = parseAccess(d.Access); err != nil {
		return nil, err
	}
	for _, n := range []struct {
		name string
		from *int64
		to   *int64
	}{{"major", d.Major, &r.Major}, {"minor", d.Minor, &r.Minor}} {
		if n.from == nil || *n.from == -1 {
			continue
		}
		if *n.from < 0 || *n.from > math.MaxUint32 {
			return nil, fault.Op(n.name, "", fault.New(fault.Invalid, "%d: give a device number, or -1 for any", *n.from))
		}
		*n.to = *n.from
	}
	if r.Type == 'a' && !r.all() {
		block, char := r, r
		block.Type, char.Type = 'b', 'c'
		return []Rule{block, char}, nil
	}
	return []Rule{r}, nil
}

func parseAccess(s string) (a Access, err error) {
	for _, c := range []byte(s) {
		switch c {
		case 'r':
			a |= Read
		case 'w':
			a |= Write
		case 'm':
			a |= Mknod
		default:
			return 0, fault.Op("access", "", fault.New(fault.Invalid, "%q: give some of r, w and m", s))
		}
	}
	if a == 0 {
		return 0, fault.Op("access", "", fault.New(fault.Invalid, "is empty: give some of r, w and m"))
	}
	return a, nil
}

// devicesV1 writes the list as the specification has it. The kernel keeps a
// default and exceptions to it: rules that change the default ("a") forget
// all exceptions, so everything before the last such rule is left out.
func devicesV1(c *compiler) {
	rules, err := DeviceRules(c.r.Devices)
	if err != nil {
		if c.err == nil {
			c.err = err
		}
		return
	}
	for _, r := range effective(rules) {
		name := "devices.deny"
		if r.Allow {
			name = "devices.allow"
		}
		c.put(name, "devices", r.String())
	}
}

// effective drops the rules that a later rule about everything makes void.
func effective(rules []Rule) []Rule {
	for i := len(rules) - 1; i >= 0; i-- {
		if rules[i].all() {
			rules = rules[i:]
			break
		}
	}
	denies := func(r Rule) bool { return !r.Allow }
	if rules[0].all() && !slices.ContainsFunc(rules, denies) {
		return rules[:1] // privileged: the rest allows what is allowed
	}
	return rules
}
