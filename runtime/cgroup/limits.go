package cgroup

import (
	"maps"
	"slices"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// pids: 0 once meant "no limit" by accident; the specification's newest
// reading is that nothing at all would be a container without its first
// process, so 0 means one.
func pids(c *compiler) {
	if c.r.Pids == nil || c.r.Pids.Limit == nil {
		return
	}
	text := signed(*c.r.Pids.Limit)
	switch v := *c.r.Pids.Limit; {
	case v == 0:
		text = "1"
	case v < 0:
		text = "max"
	}
	c.put("pids.max", "pids.limit", text)
}

func hugetlbV1(c *compiler) { c.hugetlb(".limit_in_bytes") }
func hugetlbV2(c *compiler) { c.hugetlb(".max") }

// hugetlb limits reservations where the kernel counts them (5.7), and faults.
func (c *compiler) hugetlb(suffix string) {
	for i, l := range c.r.HugepageLimits {
		field := element("hugepageLimits", i)
		number, unit := strings.TrimRight(l.Pagesize, "KMGB"), strings.TrimLeft(l.Pagesize, "0123456789")
		if number == "" || number[0] == '0' || len(l.Pagesize) > 16 || number+unit != l.Pagesize || !slices.Contains([]string{"KB", "MB", "GB"}, unit) {
			c.fail(field+".pageSize", "%q: give it like 64KB, 2MB or 1GB", l.Pagesize)
			return
		}
		c.put("hugetlb."+l.Pagesize+suffix, field+".limit", unsigned(l.Limit))
		c.put("hugetlb."+l.Pagesize+".rsvd"+suffix, field+".limit", unsigned(l.Limit)).Optional = true
	}
}

func netClass(c *compiler) {
	if n := c.r.Network; n != nil && n.ClassID != nil {
		c.put("net_cls.classid", "network.classID", unsigned(uint64(*n.ClassID)))
	}
}

func netPrio(c *compiler) {
	if c.r.Network == nil {
		return
	}
	for i, p := range c.r.Network.Priorities {
		field := element("network.priorities", i)
		if p.Name == "" || len(p.Name) > 15 || strings.ContainsAny(p.Name, "/: \t\n\x00") {
			c.fail(field+".name", "%q is no name of an interface", p.Name)
		}
		c.put("net_prio.ifpriomap", field, p.Name+" "+unsigned(uint64(p.Priority)))
	}
}

func refuseNetwork(c *compiler) {
	if n := c.r.Network; n != nil && (n.ClassID != nil || len(n.Priorities) > 0) && c.err == nil {
		c.err = fault.Op("linux.resources.network", "", fault.New(fault.Unsupported, "cgroup v2 has neither net_cls nor net_prio; match the container's packets by its group: socket cgroupv2, in nftables"))
	}
}

func rdma(c *compiler) {
	for _, name := range slices.Sorted(maps.Keys(c.r.Rdma)) {
		if name == "" || strings.ContainsAny(name, " \t\n\x00") {
			c.fail("rdma", "%q is no name of a device", name)
		}
		text := name
		if v := c.r.Rdma[name].HcaHandles; v != nil {
			text += " hca_handle=" + unsigned(uint64(*v))
		}
		if v := c.r.Rdma[name].HcaObjects; v != nil {
			text += " hca_object=" + unsigned(uint64(*v))
		}
		if text != name {
			c.put("rdma.max", "rdma."+name, text)
		}
	}
}

func refuseUnified(c *compiler) {
	if len(c.r.Unified) > 0 {
		c.fail("unified", "invalid configuration: cgroup v1 has no unified settings")
	}
}

// unified passes files of v2 through. Only limits: files that move, stop or
// kill processes are refused. A text of several lines (io.max) is written
// line by line, because the kernel takes one at a time.
func unified(c *compiler) {
	for _, name := range slices.Sorted(maps.Keys(c.r.Unified)) {
		field := "unified." + name
		controller, param, ok := strings.Cut(name, ".")
		switch {
		case strings.ContainsAny(name, "/\x00\n"):
			c.fail("unified", "%q must be a file name (no slashes)", name)
		case !ok || controller == "" || param == "":
			c.fail("unified", "%q must be in the form CONTROLLER.PARAMETER", name)
		case controller == "cgroup" && !strings.HasPrefix(param, "max.") && param != "pressure":
			c.fail("unified", "%q is no limit", name)
		case name == "io.cost.qos", name == "io.cost.model":
			c.fail(field, "only the root of the machine's groups has this file; write it there")
		}
		for line := range strings.Lines(c.r.Unified[name]) {
			c.controller = controller
			c.put(name, field, strings.TrimSuffix(line, "\n"))
		}
	}
}
